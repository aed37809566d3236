"""What a worker reads and writes about its tasks, a transaction each; all wait for a database that is away.

In: keys and claims of tasks. Out: claimed work, and what became of claims.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy.ext.asyncio import AsyncEngine

from services.coordinator.database import Reader, persistently
from services.coordinator.repositories import tasks, usage, work
from services.coordinator.repositories.rows import insert
from services.coordinator.repositories.tasks import Claim, Held, TaskKey
from services.coordinator.tasks.loading import load_work
from services.coordinator.tasks.work import Work
from shared.types import JsonObject

ERRORS_ALLOWED = 3  # unexpected ends of one task, before it counts as failed


@dataclass(frozen=True)
class Ledger:
    """One worker's."""

    engine: AsyncEngine
    owner: str
    lease_s: float

    async def claim(self, keys: Sequence[TaskKey]) -> list[Work]:
        """Those of the tasks that are ours now, with what they have to do."""

        async def claim() -> list[Work]:
            async with self.engine.begin() as c:
                claims = sorted(await tasks.claim(c, keys, self.owner, self.lease_s), key=_phase_of)
                found: list[Work] = []
                for _, group in groupby(claims, key=_phase_of):
                    found += await load_work(c, list(group))
                return found

        return await persistently(claim)

    async def renew(self, held: Sequence[Held]) -> set[Claim]:
        """Longer leases; claims that do not come back are no longer ours."""

        async def renew() -> set[Claim]:
            async with self.engine.begin() as c:
                return await tasks.renew(c, sorted(held, key=_key_of), self.lease_s)

        return await persistently(renew)

    async def count_error(self, one: Work, reason: str) -> None:
        """An unexpected end: the task goes to somebody else, and fails for good after a few."""
        calls = one.take_calls()

        async def count() -> None:
            async with self.engine.begin() as c:
                if await tasks.count_error(c, one.claim, reason, ERRORS_ALLOWED):
                    await insert(c, "failures", [one.failure(0, reason, ERRORS_ALLOWED)])
                await usage.record(c, calls)

        await persistently(count)

    async def give_back(self, given: Sequence[Work]) -> None:
        """To be done by somebody else; the calls that were made for them count."""
        claims, calls = [one.claim for one in given], [call for one in given for call in one.take_calls()]

        async def give_back() -> None:
            async with self.engine.begin() as c:
                await tasks.give_back(c, claims)
                await usage.record(c, calls)

        await persistently(give_back)

    async def statuses(self, run_ids: Sequence[str]) -> dict[str, str]:
        async def look() -> dict[str, str]:
            async with Reader(self.engine).connect() as c:
                return await work.statuses(c, run_ids)

        return await persistently(look)

    async def known_answers(self, hashes: Sequence[str]) -> dict[str, JsonObject]:
        async def look() -> dict[str, JsonObject]:
            async with Reader(self.engine).connect() as c:
                return await work.known_answers(c, hashes)

        return await persistently(look)


def _phase_of(claim: Claim) -> tuple[str, int, str]:
    return claim.key.run_id, claim.key.iteration, claim.key.phase


def _key_of(held: Held) -> tuple[TaskKey, int]:
    return held.claim.key, held.claim.attempt
