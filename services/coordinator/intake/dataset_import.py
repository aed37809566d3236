"""Registers a data set: all of its sound records in one transaction, or nothing.

In: a name, a file and an image folder below the data roots. Out: the data set's summary with what was refused.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.coordinator.intake.reading import Reading
from services.coordinator.repositories import datasets
from shared.errors import Conflict, Forbidden, NotFound, Unprocessable
from shared.types import JsonObject


async def import_dataset(engine: AsyncEngine, reading: Reading) -> JsonObject:
    """The summary. The same content under the same name again changes nothing; other content is a Conflict."""
    async with engine.begin() as c:
        known = await datasets.get(c, reading.dataset)
        if known is None and await datasets.add(c, _draft(reading)):
            await _fill(c, reading)
            await datasets.complete(c, reading.summary())
        else:
            await _compare(c, reading)
        summary = await datasets.get(c, reading.dataset)
    assert summary is not None, "it was written or was there"
    return summary


async def _fill(c: AsyncConnection | None, reading: Reading) -> None:
    """Read everything, in a thread: pictures are decoded. Without a connection nothing is written."""
    batches = reading.batches()
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        if c is not None:
            await datasets.add_items(c, batch)
    if reading.num_instructions == 0:
        first = "; ".join(f"{one['record']}: {one['reason']}" for one in reading.refused[:3])
        raise Unprocessable(
            f"{reading.file.name} has no usable record ({reading.num_records} read); "
            f"nothing was imported. {first or 'The file is empty.'}",
            code="no_usable_record",
        )


async def _compare(c: AsyncConnection, reading: Reading) -> None:
    await _fill(None, reading)
    known = await datasets.get(c, reading.dataset)
    assert known is not None, "its name was taken"
    now = reading.summary()
    if (known["content_sha256"], known["purpose"]) != (now["content_sha256"], now["purpose"]):
        raise Conflict(
            f"there is a data set {reading.dataset!r} with other content; choose another name for this one"
        )


def _draft(reading: Reading) -> JsonObject:
    """The summary before anything was read: items need their data set's row."""
    return {**reading.summary(), "content_sha256": "", "refused": []}


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
