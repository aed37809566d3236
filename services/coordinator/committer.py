"""Group commit: what many tasks have got within a moment is written in one transaction.

In: units, each fenced by its task's claim. Out: the unit is committed, or ClaimLost: the task has another owner.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.coordinator import metrics
from services.coordinator.database import persistently
from services.coordinator.repositories import tasks, usage
from services.coordinator.repositories.rows import insert
from services.coordinator.repositories.tasks import Claim
from shared.errors import ComdError

GATHER_S = 0.03  # the longest that a unit waits for company
TABLES = (  # parents before children; the key by which rows are sorted, so that two workers cannot deadlock
    ("answers", ("request_hash",)),
    ("bindings", ("run_id", "instruction_id", "role", "checkpoint")),
    ("verdicts", ("run_id", "iteration", "instruction_id")),
    ("instructions", ("run_id", "id")),
    ("candidates", ("run_id", "iteration", "parent", "attempt")),
    ("evaluation_answers", ("run_id", "iteration", "item_id")),
    ("evaluation_results", ("run_id", "item_id")),
    ("failures", ("run_id", "iteration", "phase", "image", "instruction_id")),
)

Rows = Mapping[str, Sequence[Mapping[str, Any]]]


class ClaimLost(ComdError):
    """The lease ran out and somebody else has the task: whatever we have of it is dropped."""


@dataclass(eq=False)
class Unit:
    """Rows of one task that belong together; `finish` makes the task done in the same transaction."""

    claim: Claim
    rows: Rows
    finish: bool
    written: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Committer:
    """Gathers units and writes them; `run` is its life."""

    def __init__(self, engine: AsyncEngine):
        self.engine = engine
        self._waiting: list[Unit] = []
        self._some = asyncio.Event()

    async def commit(self, claim: Claim, rows: Rows, *, finish: bool = False) -> None:
        """Returns when the rows are in the database; ClaimLost where the task is no longer ours."""
        unit = Unit(claim, rows, finish)
        self._waiting.append(unit)
        self._some.set()
        if not await unit.written:
            raise ClaimLost(f"task {claim.key} has another owner")

    async def run(self) -> None:
        while True:
            await self._some.wait()
            await asyncio.sleep(GATHER_S)
            self._some.clear()
            units, self._waiting = self._waiting, []
            await self._write_all(units)

    async def _write_all(self, units: Sequence[Unit]) -> None:
        try:
            with metrics.commit_seconds.time():
                held = await persistently(lambda: self._write(units))
        except Exception as error:
            if len(units) > 1:  # one bad row must not take the others with it
                for unit in units:
                    await self._write_all([unit])
                return
            _settle(units[0], error)
            return
        metrics.commit_units.observe(len(units))
        for unit in units:
            if not unit.written.done():
                unit.written.set_result(unit.claim in held)

    async def _write(self, units: Sequence[Unit]) -> set[Claim]:
        async with self.engine.begin() as c:
            held = await tasks.hold(c, list({unit.claim for unit in units}))
            ours = [unit for unit in units if unit.claim in held]
            for table, key in TABLES:
                await _insert(c, table, key, ours)
            if finished := [unit.claim for unit in ours if unit.finish]:
                await tasks.finish(c, finished)
            # whoever owns the task by now: these calls were made, and cost what they cost
            await usage.record(c, [row for unit in units for row in unit.rows.get("calls", ())])
        return held


async def _insert(c: AsyncConnection, table: str, key: Sequence[str], units: Sequence[Unit]) -> None:
    rows = [row for unit in units for row in unit.rows.get(table, ())]
    await insert(c, table, sorted(rows, key=lambda row: tuple(row[name] for name in key)))


def _settle(unit: Unit, error: Exception) -> None:
    if not unit.written.done():
        unit.written.set_exception(error)
