"""What the judge and the augmentor of a run found, by iteration: summed once where an iteration is over.

In: a run's iterations. Out: sums of verdicts and rejections by iteration. At the paper's size a sum takes a second.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.repositories import flips, reports
from services.coordinator.repositories.flips import Kind, Pair
from shared.types import JsonObject

KEPT = 512  # iterations, and pairs of them
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Found:
    """Of one iteration; no sums where nothing is judged."""

    sums: JsonObject | None
    rejected: dict[str, int]


class Findings:
    """The sums of one coordinator's runs."""

    def __init__(self) -> None:
        self._over: OrderedDict[tuple[str, int], Found] = OrderedDict()
        self._changes: OrderedDict[Pair, JsonObject] = OrderedDict()

    async def changes(self, c: AsyncConnection, pair: Pair, rows: Sequence[JsonObject]) -> JsonObject:
        """How many instructions flipped between two assessments, those of the iterations `rows`."""
        if known := self._changes.get(pair):
            return known
        counts = await flips.counts(c, pair)
        if all(row["phase"] == "complete" for row in rows):
            _keep(self._changes, pair, counts)
        return counts

    def never_flipped(self, pair: Pair, kind: Kind | None) -> bool:
        """Whether it is known, without a look, that no instruction did; one look takes most of a second."""
        known = self._changes.get(pair)
        kinds = [kind] if kind else ["learnt", "forgotten"]
        return known is not None and not any(known[one] for one in kinds)

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
            _keep(self._over, key, found)
        return found


def _keep(known: OrderedDict[Key, Value], key: Key, value: Value) -> None:
    known[key] = value
    if len(known) > KEPT:
        known.popitem(last=False)
