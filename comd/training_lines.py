"""A LLaVA caption file as the trainer takes it. In: the file and its pictures. Out: OpenAI chat lines on disk, the
pictures in the image store, and what was refused and why; the reading is the coordinator's import's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import orjson

from services.coordinator.intake.reading import Reading
from services.coordinator.merge import Answered, training_line
from shared.errors import ConfigError
from shared.images import ImageStore
from shared.types import JsonObject

REFUSALS_KEPT = 20


@dataclass
class Written:
    """How many lines there are, and the first of what was refused."""

    num_lines: int = 0
    num_refused: int = 0
    refused: list[JsonObject] = field(default_factory=list)

    def refuse(self, *items: JsonObject) -> None:
        self.num_refused += len(items)
        self.refused += items[: REFUSALS_KEPT - len(self.refused)]


def write_lines(
    captions: Path, images: Path, store: ImageStore, out: Path, progress: Callable[[int], None]
) -> Written:
    """A line for each record; `progress` hears how many records were read. ConfigError where none can be used."""
    written, known = Written(), set[int]()
    num_records = 0
    with out.open("wb") as file:
        for batch in Reading(captions.stem, captions, images, "pretrain", store).batches():
            written.refuse(*batch.refused)
            for name, rows in _records(batch.rows):
                if rows[0]["id"] in known:
                    written.refuse({"record": name, "reason": "duplicate id"})
                    continue
                known.add(rows[0]["id"])
                file.write(orjson.dumps(_line(name, rows), option=orjson.OPT_APPEND_NEWLINE))
                written.num_lines += 1
            num_records += batch.num_records
            progress(num_records)
    if not written.num_lines:
        first = "; ".join(f"{one['record']}: {one['reason']}" for one in written.refused[:3])
        raise ConfigError(
            f"{captions}: no record can be used for stage 1. Expected LLaVA's caption JSON, as `comd captions select` "
            f"writes it. {first or 'The file is empty.'}"
        )
    return written


def _records(rows: list[JsonObject]) -> Iterator[tuple[str, list[JsonObject]]]:
    """The rows of a batch by the record that they came from: one begins with each first turn, equal ids or not."""
    starts = [at for at, row in enumerate(rows) if row["turn"] == 0]
    for start, end in pairwise([*starts, len(rows)]):
        yield rows[start]["dialogue"], rows[start:end]


def _line(name: str, rows: list[JsonObject]) -> JsonObject:
    turns = [Answered(row["id"], row["dialogue"], row["turn"], row["text"], row["reference"]) for row in rows]
    return {**training_line(rows[0]["image"], turns), "id": name}
