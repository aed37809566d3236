"""Queries behind a budget: what is spent, what is reserved for tasks in flight, what was refused."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.repositories.rows import execute, fetch_one, scalar
from services.coordinator.repositories.tasks import Claim
from shared.types import JsonObject


@dataclass(frozen=True)
class Stand:
    """A run's money in nanos, and its tasks in flight; all of one moment."""

    spent: int
    reserved: int
    in_flight: int


async def stand(c: AsyncConnection, run_id: str) -> Stand:
    """One statement, so that a task which ends meanwhile is seen either reserved or spent.

    A lease's reservation shrinks by what its calls have cost already, and vanishes with the lease.
    """
    row = await fetch_one(
        c,
        """
        SELECT count(*) AS in_flight,
            coalesce(sum(greatest(0, t.estimate_nanos - paid.nanos)), 0) AS reserved,
            (SELECT coalesce(sum(cost_nanos), 0) FROM usage_totals WHERE run_id = :run_id) AS spent
        FROM tasks t
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(p.cost_nanos), 0) AS nanos FROM calls p
            WHERE t.estimate_nanos > 0 AND (p.run_id, p.iteration, p.phase, p.image, p.attempt)
                = (t.run_id, t.iteration, t.phase, t.image, t.attempt)
        ) paid
        WHERE t.run_id = :run_id AND t.state = 'leased' AND t.leased_until >= now()
        """,
        run_id=run_id,
    )
    assert row is not None, "an aggregate has a row"
    return Stand(int(row["spent"]), int(row["reserved"]), row["in_flight"])


async def smallest_refused(c: AsyncConnection, run_id: str) -> int | None:
    """The least that a refused task would have needed; None where none was refused."""
    found = await scalar(
        c,
        "SELECT min(estimate_nanos) FROM tasks WHERE run_id = :run_id AND state = 'todo' AND estimate_nanos > 0",
        run_id=run_id,
    )
    return None if found is None else int(found)


async def lock_run(c: AsyncConnection, run_id: str) -> JsonObject:
    """The run, so that one task at a time is weighed against its budget until this transaction ends."""
    run = await fetch_one(
        c, "SELECT status, config, name FROM runs WHERE id = :id FOR NO KEY UPDATE", id=run_id
    )
    assert run is not None, "a claim names a run that exists"
    return run


async def reserve(c: AsyncConnection, claim: Claim, nanos: int) -> bool:
    """So much of the budget is set aside for the task; False where it is no longer ours."""
    return await _set(c, claim, "estimate_nanos = :nanos", nanos)


async def refuse(c: AsyncConnection, claim: Claim, nanos: int) -> None:
    """The task goes back, with what it would have needed."""
    change = "state = 'todo', leased_until = NULL, owner = NULL, note = NULL, estimate_nanos = :nanos"
    await _set(c, claim, change, nanos)


async def _set(c: AsyncConnection, claim: Claim, change: str, nanos: int) -> bool:
    changed = await execute(
        c,
        f"""
        UPDATE tasks SET {change}
        WHERE (run_id, iteration, phase, image, attempt) = (:run_id, :iteration, :phase, :image, :attempt)
            AND state = 'leased'
        """,
        nanos=nanos,
        **claim.as_json(),
    )
    return changed > 0
