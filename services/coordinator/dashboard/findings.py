"""What the judge and the augmentor of a run found, by iteration: summed once where an iteration is over.

In: a run's iterations. Out: sums of verdicts and rejections by iteration. At the paper's size a sum takes a second.
"""

from collections import OrderedDict
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.repositories import reports
from shared.types import JsonObject

KEPT = 512  # iterations


@dataclass(frozen=True)
class Found:
    """Of one iteration; no sums where nothing is judged."""

    sums: JsonObject | None
    rejected: dict[str, int]


class Findings:
    """The sums of one coordinator's runs."""

    def __init__(self) -> None:
        self._over: OrderedDict[tuple[str, int], Found] = OrderedDict()

    async def of_run(self, c: AsyncConnection, run: JsonObject, rows: list[JsonObject]) -> dict[int, Found]:
        """By iteration, those with verdicts only."""
        found = {
            row["number"]: await self.of_iteration(c, run, row) for row in rows if row["judge"] is not None
        }
        return {number: one for number, one in found.items() if one.sums is not None}

    async def of_iteration(self, c: AsyncConnection, run: JsonObject, row: JsonObject) -> Found:
        key = (run["id"], row["number"])
        if known := self._over.get(key):
            return known
        sums = await reports.verdict_sums(c, run["id"], run["config"]["tau"], row["number"])
        rejected = await reports.rejections(c, *key)
        found = Found(sums.get(row["number"]), rejected.get(row["number"], {}))
        if row["phase"] == "complete":  # nothing is written to it any more
            self._over[key] = found
            if len(self._over) > KEPT:
                self._over.popitem(last=False)
        return found
