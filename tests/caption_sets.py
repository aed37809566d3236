"""Small caption sets with phrases as the extraction leaves them, and the slow way to choose from them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from services.trainer.captions import select_captions
from services.trainer.captions.selection import rank

SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "image": pa.string(),
        "text": pa.string(),
        "phrases": pa.list_(pa.string()),
        "row": pa.int64(),
    }
)
Row = dict[str, Any]


class Expected(NamedTuple):
    selected: list[Row]
    phrases: list[Row]
    duplicates: list[Row]


def planted(frequencies: dict[str, int], seed: int = 0, repeated: int = 0) -> list[Row]:
    """Captions in which each phrase comes as often as said, on captions drawn by a seed; some ids come again."""
    drawn = Random(seed)
    num_captions = max(frequencies.values()) * 2
    phrases: list[list[str]] = [[] for _ in range(num_captions)]
    for phrase, frequency in frequencies.items():
        for at in drawn.sample(range(num_captions), frequency):
            phrases[at].append(phrase)
    rows = [caption(f"c{at}", its, at) for at, its in enumerate(phrases)]
    # later rows with ids that are taken: what they say must not count
    again = [
        caption(f"c{drawn.randrange(num_captions)}", ["a dog"], num_captions + at) for at in range(repeated)
    ]
    return rows + again


def caption(id: str, phrases: Sequence[str], row: int) -> Row:
    return {
        "id": id,
        "image": f"{row}.jpg",
        "text": f"{', '.join(phrases)} ({row})",
        "phrases": phrases,
        "row": row,
    }


def write_parts(work: Path, rows: list[Row], num_parts: int) -> None:
    folder = work / "captions"
    folder.mkdir(parents=True)
    for number in range(num_parts):
        table = pa.Table.from_pylist(rows[number::num_parts], SCHEMA)
        pq.write_table(table, folder / f"part-{number:05d}.parquet")


def read(work: Path) -> Expected:
    return Expected(*(pq.read_table(work / f"{name}.parquet").to_pylist() for name in Expected._fields))


def chosen_slowly(rows: list[Row], min_frequency: int, cap: int, seed: int) -> Expected:
    """What the files must hold, by plain Python."""
    first: dict[str, Row] = {}
    duplicates = []
    for row in sorted(rows, key=lambda row: row["row"]):
        if row["id"] in first:
            duplicates.append({"id": row["id"], "row": row["row"]})
        else:
            first[row["id"]] = row
    captions = {id: row["phrases"] for id, row in first.items()}
    ids = select_captions(captions.items(), min_frequency=min_frequency, cap=cap, seed=seed)
    frequency = Counter(phrase for phrases in captions.values() for phrase in phrases)

    def chose(phrase: str, id: str) -> bool:
        having = sorted(rank(seed, phrase, other) for other, phrases in captions.items() if phrase in phrases)
        return len(having) >= min_frequency and rank(seed, phrase, id) in having[:cap]

    def selected(id: str) -> Row:
        count, phrase = min((frequency[phrase], phrase) for phrase in captions[id] if chose(phrase, id))
        kept = {name: first[id][name] for name in ("id", "image", "text", "row")}
        return {**kept, "phrase": phrase, "frequency": count}

    within = Counter(phrase for id in ids for phrase in captions[id])
    phrases = [
        {"phrase": phrase, "frequency": count, "selected": within[phrase]}
        for count, phrase in sorted((count, phrase) for phrase, count in frequency.items())
    ]
    return Expected(sorted(map(selected, ids), key=lambda row: row["row"]), phrases, duplicates)
