"""Reads a data set's file and pictures in batches. In: paths. Out: rows of `dataset_items`, and what was refused
and why; a bad record never stops the rest. Batches are the same in every pass over the same file.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from services.coordinator.intake.file_records import FileRecords
from services.coordinator.intake.records import Purpose, Record, Refusal, Turn, read_record
from services.coordinator.merge import TEXT_ONLY
from shared.errors import ComdError
from shared.identity import digest, seed_instruction_id
from shared.images import SHA256, ImageStore
from shared.types import JsonObject

RECORDS_AT_ONCE = 200
PICTURE_THREADS = 4  # Pillow decodes outside of Python's lock
NAMES_KEPT = 4096  # the picture of neighbouring dialogues is not read again
MODULUS = 1 << 256


@dataclass
class Batch:
    """Some records in a row: their rows, and what was refused. `content` is the sum of the rows' hashes."""

    num_records: int
    bytes_read: int
    rows: list[JsonObject] = field(default_factory=list)
    refused: list[JsonObject] = field(default_factory=list)
    content: int = 0

    def refuse(self, name: str, reason: str) -> None:
        self.refused.append({"record": name, "reason": reason})

    def add(self, row: JsonObject) -> None:
        hashed = hashlib.sha256(orjson.dumps(row)).digest()
        self.content = (self.content + int.from_bytes(hashed)) % MODULUS
        self.rows.append({**row, "asked": _asked(row)})


@dataclass
class Reading:
    """A data set's file, its pictures' folder and the store that they go to."""

    dataset: str
    file: Path
    images: Path
    purpose: Purpose
    store: ImageStore
    _sha256_of: dict[str, str] = field(default_factory=dict)

    def batches(self, skip: int = 0) -> Iterator[Batch]:
        """From behind the first `skip` records to the end; the pictures of one batch are checked side by side."""
        records = FileRecords(self.file)
        numbered = islice(enumerate(records, 1), skip, None)
        with ThreadPoolExecutor(PICTURE_THREADS, "pictures") as threads:
            while values := list(islice(numbered, RECORDS_AT_ONCE)):
                yield self._batch(values, records.bytes_read, threads)

    def _batch(self, values: list[tuple[int, Any]], bytes_read: int, threads: Executor) -> Batch:
        batch = Batch(len(values), bytes_read)
        records = [record for number, value in values if (record := self._record(number, value, batch))]
        wanted = dict.fromkeys(record.image for record in records if record.image is not None)
        pictures = {name: threads.submit(self._picture, name) for name in wanted}
        for record in records:
            self._add(record, pictures, batch)
        for name, picture in pictures.items():
            if picture.exception() is None:
                self._sha256_of[name] = picture.result()
        while len(self._sha256_of) > NAMES_KEPT:
            del self._sha256_of[next(iter(self._sha256_of))]
        return batch

    def _record(self, number: int, value: Any, batch: Batch) -> Record | None:
        """None where it is refused."""
        try:
            if isinstance(value, Refusal):
                raise value
            return read_record(value, self.purpose)
        except Refusal as error:
            batch.refuse(f"#{number}", str(error))
            return None

    def _add(self, record: Record, pictures: dict[str, Future[str]], batch: Batch) -> None:
        try:
            image = TEXT_ONLY + digest(self.dataset, record.id)[:32]
            if record.image is not None:
                image = pictures[record.image].result()
        except (Refusal, ComdError) as error:
            batch.refuse(record.id, str(error))
            return
        for turn in record.turns:
            batch.add(self._row(record, image, turn))

    def _picture(self, name: str) -> str:
        """Its sha256; by now it is in the store."""
        if name in self._sha256_of:
            return self._sha256_of[name]
        if "\0" in name:
            raise Refusal(f"image {name!r}: no file has such a name")
        path = (self.images / name).resolve()
        if not path.is_relative_to(self.images.resolve()):
            raise Refusal(f"image {name!r} lies outside the image folder")
        try:
            data = path.read_bytes()
        except OSError as error:
            if SHA256.fullmatch(name) and self.store.has(name):
                return name  # of a pool that was exported
            raise Refusal(f"image {name!r} cannot be read: {error.strerror}") from error
        return self.store.put(data, name)

    def _row(self, record: Record, image: str, turn: Turn) -> JsonObject:
        return {
            "dataset": self.dataset,
            "id": seed_instruction_id(self.dataset, record.id, turn.number),
            "image": image,
            "text": turn.text,
            "task_type": record.task_type,
            "dialogue": record.id,
            "turn": turn.number,
            "reference": turn.reference,
        }


def _asked(row: JsonObject) -> str:
    """Equal for the same question about the same picture, whatever its case and spaces."""
    question = " ".join(row["text"].casefold().split())
    return hashlib.sha256(f"{row['image']}\n{question}".encode()).hexdigest()[:32]
