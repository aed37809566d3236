"""Registers a data set batch by batch, and goes on where an earlier import of the same file was stopped.

In: a name, a file and an image folder below the data roots. Out: the data set's summary with what was refused.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.coordinator.database import Reader
from services.coordinator.intake.reading import MODULUS, Batch, Reading
from services.coordinator.repositories import datasets, event_log, planning
from shared import logs
from shared.errors import Conflict, Forbidden, NotFound, Unprocessable
from shared.types import JsonObject

REFUSALS_KEPT = 200

log = logs.get(__name__)


@dataclass
class Progress:
    """How far an import of this process is."""

    bytes_total: int
    bytes_read: int = 0
    records: int = 0
    _first: tuple[float, int, int] | None = field(default=None, repr=False)

    def note(self, bytes_read: int, records: int) -> None:
        self.bytes_read, self.records = bytes_read, records
        if self._first is None:
            self._first = (time.monotonic(), bytes_read, records)

    def as_json(self) -> JsonObject:
        """`rate` is in records a second; it and `time_left_s` are null until two batches were read."""
        done = {"bytes_read": self.bytes_read, "bytes_total": self.bytes_total, "records": self.records}
        if self._first is None or self.records == self._first[2]:
            return {**done, "rate": None, "time_left_s": None}
        began, first_byte, first_record = self._first
        seconds = max(time.monotonic() - began, 1e-3)
        left = (self.bytes_total - self.bytes_read) / max(self.bytes_read - first_byte, 1) * seconds
        return {
            **done,
            "rate": round((self.records - first_record) / seconds, 1),
            "time_left_s": round(left, 1),
        }


async def import_dataset(engine: AsyncEngine, reading: Reading, progress: Progress, cause: str) -> JsonObject:
    """The summary. The same content under the same name again changes nothing; other content is a Conflict."""
    file = reading.file.stat()
    source = {
        "purpose": reading.purpose,
        "path": str(reading.file),
        "images": str(reading.images),
        "file_state": f"{file.st_size} bytes of {file.st_mtime_ns}",
        "bytes_total": file.st_size,
    }
    async with engine.begin() as c:
        known = await _begun(c, reading.dataset, source)
    if known["status"] == "ready":
        await _compare(reading, known, progress)
    else:
        await _read_on(engine, reading, known, progress)
        await _complete(engine, reading.dataset, cause)
    async with Reader(engine).connect() as c:
        summary = await datasets.get(c, reading.dataset)
    assert summary is not None, "it was written or was there"
    return summary


async def _begun(c: AsyncConnection, name: str, source: JsonObject) -> JsonObject:
    """The data set's row: complete, half read from this very file, or new."""
    known = await datasets.get(c, name, for_update=True)
    if (
        known is not None
        and known["status"] == "importing"
        and any(known[key] != source[key] for key in source)
    ):
        await datasets.remove(c, name)  # of a file that is no longer the same: from the beginning
        known = None
    if known is None:
        await datasets.begin(c, name, source)
        known = await datasets.get(c, name, for_update=True)
    assert known is not None, "it was begun just now"
    return known


async def _read_on(engine: AsyncEngine, reading: Reading, known: JsonObject, progress: Progress) -> None:
    """Every batch is one transaction with the place that it ends at: after a kill nothing is lost or read twice."""
    progress.note(known["bytes_read"], known["num_records"])
    stand = known
    try:
        async with aclosing(ahead(reading.batches(known["num_records"]))) as batches:
            async for batch in batches:
                async with engine.begin() as c:
                    stand = await _write(c, stand, batch)
                progress.note(batch.bytes_read, stand["num_records"])
        if stand["num_instructions"] == 0:
            raise _nothing_usable(reading, stand)
    except Unprocessable:
        async with engine.begin() as c:
            await datasets.remove(c, reading.dataset)
        raise


async def _complete(engine: AsyncEngine, name: str, cause: str) -> None:
    async with Reader(engine).connect() as c:
        await planning.analyze(c, "dataset_items")
    async with engine.begin() as c:
        await datasets.complete(c, name)
        await event_log.record(c, None, "data_set_imported", cause, dataset=name)
    log.info("dataset_imported", dataset=name)


async def _write(c: AsyncConnection, stand: JsonObject, batch: Batch) -> JsonObject:
    """The data set's row behind the batch. Conflict where somebody else has read on meanwhile."""
    name = stand["name"]
    if not await datasets.holds(c, name, stand["num_records"], stand["file_state"]):
        raise Conflict(
            f"data set {name!r} is being imported by somebody else; GET /v1/datasets/{name} shows how far it is"
        )
    await _write_rows(c, batch)
    refused = [*stand["refused"], *batch.refused][:REFUSALS_KEPT]
    content = (int(stand["content_sha256"] or "0", 16) + batch.content) % MODULUS
    after = {
        **stand,
        "content_sha256": f"{content:064x}",
        "num_records": stand["num_records"] + batch.num_records,
        "num_instructions": stand["num_instructions"] + len(batch.rows),
        "num_refused": stand["num_refused"] + len(batch.refused),
        "refused": refused,
        "bytes_read": batch.bytes_read,
    }
    await datasets.advance(c, after)
    return after


async def _write_rows(c: AsyncConnection, batch: Batch) -> None:
    """Those that were there before, in an earlier batch or in this one, become refusals."""
    fresh = Counter(await datasets.add_items(c, batch.rows))
    taken, known = list[JsonObject](), list[JsonObject]()
    for row in batch.rows:
        key = (row["id"], row["asked"])
        (taken if fresh[key] else known).append(row)
        fresh[key] -= 1
    same_id = (
        await datasets.ids_there(c, batch.rows[0]["dataset"], [row["id"] for row in known])
        if known
        else set()
    )
    for row in known:
        which = "id" if row["id"] in same_id else "question about the same picture"
        batch.refuse(f"{row['dialogue']}, turn {row['turn']}", f"duplicate {which}")
    batch.rows = taken


async def _compare(reading: Reading, known: JsonObject, progress: Progress) -> None:
    """Read all of it without writing; a picture that is damaged in the store is mended."""
    content = num_records = 0
    async with aclosing(ahead(reading.batches())) as batches:
        async for batch in batches:
            content = (content + batch.content) % MODULUS
            num_records += batch.num_records
            progress.note(batch.bytes_read, num_records)
    if (known["content_sha256"], known["purpose"]) != (f"{content:064x}", reading.purpose):
        raise Conflict(
            f"there is a data set {reading.dataset!r} with other content; choose another name for this one"
        )


async def ahead(batches: Iterator[Batch]) -> AsyncGenerator[Batch, None]:
    """The batches, read in a thread; the next is read and its pictures decoded while one is written."""
    coming = asyncio.create_task(asyncio.to_thread(next, batches, None))
    try:
        while (batch := await asyncio.shield(coming)) is not None:
            coming = asyncio.create_task(asyncio.to_thread(next, batches, None))
            yield batch
    finally:
        await asyncio.wait({coming})  # nobody else may run the iterator while the thread does
        coming.exception()


def _nothing_usable(reading: Reading, stand: JsonObject) -> Unprocessable:
    first = "; ".join(f"{one['record']}: {one['reason']}" for one in stand["refused"][:3])
    return Unprocessable(
        f"{reading.file.name} has no usable record ({stand['num_records']} read); nothing was imported. "
        f"{first or 'The file is empty.'}",
        code="no_usable_record",
    )


def below_roots(path: str, roots: Sequence[Path], *, folder: bool) -> Path:
    """The path, where it exists below one of the data roots; Forbidden or NotFound otherwise."""
    found = Path(path).resolve()
    if not any(found.is_relative_to(root.resolve()) for root in roots):
        named = ", ".join(str(root) for root in roots) or "none"
        raise Forbidden(
            f"{path} is not below the data roots ({named}); move it there, or set COMD_DATA_ROOTS",
            code="outside_data_roots",
        )
    if not (found.is_dir() if folder else found.is_file()):
        raise NotFound(
            f"{path}: there is no such {'folder' if folder else 'file'} on the coordinator's machine"
        )
    return found
