"""The imports that go on in this process, whoever waits for them.

In: what a request asks to read. Out: its summary; a second request for the same waits for the same import.
"""

import asyncio
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from services.coordinator.intake.dataset_import import Progress, import_dataset
from services.coordinator.intake.reading import Reading
from shared import logs
from shared.errors import Conflict
from shared.types import JsonObject

log = logs.get(__name__)


@dataclass(frozen=True)
class Import:
    reading: Reading
    progress: Progress
    task: asyncio.Task[JsonObject]


class Imports:
    """One import at most of each name; none ends because its client went away."""

    def __init__(self, engine: AsyncEngine):
        self.engine = engine
        self._running: dict[str, Import] = {}

    async def register(self, reading: Reading, cause: str) -> JsonObject:
        """The summary, once all is read; `cause` is who asked, for the log."""
        if (running := self._running.get(reading.dataset)) is None:
            running = self._start(reading, cause)
        elif _source(running.reading) != _source(reading):
            raise Conflict(
                f"data set {reading.dataset!r} is being imported from {running.reading.file}; wait for its end, "
                "or choose another name"
            )
        return await asyncio.shield(running.task)

    def progress(self, name: str) -> JsonObject | None:
        """How far the import of that name is; None where none goes on here."""
        running = self._running.get(name)
        return None if running is None else running.progress.as_json()

    async def close(self) -> None:
        """Stop them where they are; the same request goes on from there."""
        tasks = [one.task for one in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, reading: Reading, cause: str) -> Import:
        progress = Progress(reading.file.stat().st_size)
        task = asyncio.create_task(import_dataset(self.engine, reading, progress, cause))
        self._running[reading.dataset] = Import(reading, progress, task)
        task.add_done_callback(lambda done: self._ended(reading.dataset, done))
        return self._running[reading.dataset]

    def _ended(self, name: str, task: asyncio.Task[JsonObject]) -> None:
        del self._running[name]
        if not task.cancelled() and (error := task.exception()):
            log.warning("import_stopped", dataset=name, reason=str(error)[:300])


def _source(reading: Reading) -> tuple[str, ...]:
    return str(reading.file), str(reading.images), reading.purpose
