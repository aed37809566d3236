"""Reads a data set's file and pictures. In: paths. Out: rows of `dataset_items` in batches, and a count of what
was refused and why; a bad record never stops the rest.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from services.coordinator.intake.records import Purpose, Record, Refusal, Turn, read_record
from services.coordinator.merge import TEXT_ONLY
from shared.errors import ComdError, Unprocessable
from shared.identity import digest, seed_instruction_id
from shared.images import ImageStore
from shared.types import JsonObject

RECORDS_AT_ONCE = 200
REFUSALS_KEPT = 200


@dataclass
class Reading:
    """One pass over one data set; `batches` runs it, the rest is what was found."""

    dataset: str
    file: Path
    images: Path
    purpose: Purpose
    store: ImageStore
    num_records: int = 0
    num_instructions: int = 0
    num_refused: int = 0
    refused: list[JsonObject] = field(default_factory=list)
    _content: Any = field(default_factory=hashlib.sha256)
    _sha256_of: dict[str, str] = field(default_factory=dict)
    _asked: set[bytes] = field(default_factory=set)
    _ids: set[int] = field(default_factory=set)

    def batches(self) -> Iterator[list[JsonObject]]:
        """Rows ready to insert."""
        rows: list[JsonObject] = []
        for number, value in enumerate(self._values(), 1):
            rows += self._rows(number, value)
            if number % RECORDS_AT_ONCE == 0:
                yield rows
                rows = []
        yield rows

    def summary(self) -> JsonObject:
        """The row of `datasets`."""
        return {
            "name": self.dataset,
            "purpose": self.purpose,
            "path": str(self.file),
            "content_sha256": self._content.hexdigest(),
            "num_records": self.num_records,
            "num_instructions": self.num_instructions,
            "num_images": len(set(self._sha256_of.values())),
            "num_refused": self.num_refused,
            "refused": self.refused,
        }

    def _values(self) -> Iterator[Any]:
        """Decoded records; a line that is not JSON comes as a Refusal."""
        with self.file.open("rb") as lines:
            head = next((line for line in lines if line.strip()), b"")
            lines.seek(0)
            if head.lstrip(b"\xef\xbb\xbf \t").startswith(b"["):
                yield from self._list(lines.read().removeprefix(b"\xef\xbb\xbf"))
                return
            for line in lines:
                if line.strip():
                    yield _decoded(line.removeprefix(b"\xef\xbb\xbf"))

    def _list(self, content: bytes) -> list[Any]:
        try:
            values = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise Unprocessable(f"{self.file.name} is not JSON: {error}; nothing was imported") from error
        assert isinstance(values, list), "the content starts with a bracket"
        return values

    def _rows(self, number: int, value: Any) -> list[JsonObject]:
        """The record's rows; none where it is refused."""
        self.num_records += 1
        name = f"#{number}"
        try:
            if isinstance(value, Refusal):
                raise value
            record = read_record(value, self.purpose)
            name = record.id
            image = self._image(record)
            rows = [row for turn in record.turns if (row := self._row(record, image, turn))]
        except (Refusal, ComdError) as error:
            self._refuse(name, str(error))
            return []
        self.num_instructions += len(rows)
        return rows

    def _image(self, record: Record) -> str:
        if record.image is None:
            return TEXT_ONLY + digest(self.dataset, record.id)[:32]
        if record.image not in self._sha256_of:
            path = (self.images / record.image).resolve()
            if not path.is_relative_to(self.images.resolve()):
                raise Refusal(f"image {record.image!r} lies outside the image folder")
            try:
                data = path.read_bytes()
            except OSError as error:
                raise Refusal(f"image {record.image!r} cannot be read: {error.strerror}") from error
            self._sha256_of[record.image] = self.store.put(data, record.image)
        return self._sha256_of[record.image]

    def _row(self, record: Record, image: str, turn: Turn) -> JsonObject | None:
        """None for a turn that was there before."""
        identity = seed_instruction_id(self.dataset, record.id, turn.number)
        asked = hashlib.sha256(f"{image}\n{' '.join(turn.text.casefold().split())}".encode()).digest()
        if identity in self._ids or asked in self._asked:
            which = "id" if identity in self._ids else "question about the same picture"
            self._refuse(f"{record.id}, turn {turn.number}", f"duplicate {which}")
            return None
        self._ids.add(identity)
        self._asked.add(asked)
        row = {
            "dataset": self.dataset,
            "id": identity,
            "image": image,
            "text": turn.text,
            "task_type": record.task_type,
            "dialogue": record.id,
            "turn": turn.number,
            "reference": turn.reference,
        }
        self._content.update(orjson.dumps(row))
        return row

    def _refuse(self, name: str, reason: str) -> None:
        self.num_refused += 1
        if len(self.refused) < REFUSALS_KEPT:
            self.refused.append({"record": name, "reason": reason})


def _decoded(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Refusal(f"not JSON: {error}")
