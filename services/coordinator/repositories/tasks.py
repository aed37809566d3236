"""The workers' queries on tasks: claim, hold, renew, finish. A task is known by (run, iteration, phase, image)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.database import to_json
from services.coordinator.repositories.rows import execute, fetch, scalar
from shared.types import JsonObject

KEY = "run_id, iteration, phase, image"
GIVEN_BACK = "state = 'todo', leased_until = NULL, owner = NULL, note = NULL, estimate_nanos = 0"


@dataclass(frozen=True, order=True)
class TaskKey:
    run_id: str
    iteration: int
    phase: str
    image: str

    def as_json(self) -> JsonObject:
        return {"run_id": self.run_id, "iteration": self.iteration, "phase": self.phase, "image": self.image}


@dataclass(frozen=True)
class Claim:
    """A task that is ours until its lease runs out; `attempt` fences earlier owners."""

    key: TaskKey
    attempt: int

    def as_json(self) -> JsonObject:
        return {**self.key.as_json(), "attempt": self.attempt}


async def claim(c: AsyncConnection, keys: Sequence[TaskKey], owner: str, lease_s: float) -> list[Claim]:
    """Take those that are free and still wanted: the run is running and in the task's phase, its judge is fixed.

    One that is not (the run was paused, say) goes back to `todo`, because its message is spent.
    """
    rows = await fetch(
        c,
        f"""
        WITH wanted AS (
            SELECT t.run_id, t.iteration, t.phase, t.image
            FROM tasks t
            JOIN json_populate_recordset(NULL::tasks, CAST(:keys AS json)) k USING ({KEY})
            JOIN runs r ON r.id = t.run_id AND r.status = 'running'
            JOIN iterations i ON i.run_id = t.run_id AND i.number = t.iteration AND i.phase = t.phase
                AND (i.phase <> 'assessing' OR i.judge IS NOT NULL)
            WHERE t.state IN ('todo', 'published') OR t.state = 'leased' AND t.leased_until < now()
            ORDER BY {", ".join("t." + name for name in KEY.split(", "))} FOR UPDATE OF t SKIP LOCKED
        )
        UPDATE tasks SET state = 'leased', attempt = tasks.attempt + 1, owner = :owner, note = NULL,
            estimate_nanos = 0, leased_until = now() + :lease_s * interval '1 second'
        FROM wanted w WHERE (tasks.run_id, tasks.iteration, tasks.phase, tasks.image)
            = (w.run_id, w.iteration, w.phase, w.image)
        RETURNING tasks.run_id, tasks.iteration, tasks.phase, tasks.image, tasks.attempt
        """,
        keys=to_json([key.as_json() for key in keys]),
        owner=owner,
        lease_s=lease_s,
    )
    claims = [_claim(row) for row in rows]
    if skipped := sorted(set(keys) - {one.key for one in claims}):
        await execute(
            c,
            """
            UPDATE tasks SET state = 'todo' FROM json_populate_recordset(NULL::tasks, CAST(:keys AS json)) k
            WHERE (tasks.run_id, tasks.iteration, tasks.phase, tasks.image)
                = (k.run_id, k.iteration, k.phase, k.image) AND tasks.state = 'published'
            """,
            keys=to_json([key.as_json() for key in skipped]),
        )
    return claims


async def hold(c: AsyncConnection, claims: Sequence[Claim]) -> set[Claim]:
    """Those of the claims that are still ours, kept so until this transaction ends."""
    rows = await fetch(
        c,
        f"""
        SELECT t.run_id, t.iteration, t.phase, t.image, t.attempt FROM tasks t
        JOIN json_populate_recordset(NULL::tasks, CAST(:claims AS json)) k USING ({KEY}, attempt)
        WHERE t.state = 'leased' ORDER BY 1, 2, 3, 4 FOR UPDATE OF t
        """,
        claims=_json(claims),
    )
    return {_claim(row) for row in rows}


async def finish(c: AsyncConnection, claims: Sequence[Claim]) -> None:
    """The tasks are done; call it under `hold`."""
    await _set(c, claims, "state = 'done', leased_until = NULL, note = NULL")


async def give_back(c: AsyncConnection, claims: Sequence[Claim]) -> None:
    """To be done by somebody else."""
    await _set(c, claims, GIVEN_BACK)


async def count_error(c: AsyncConnection, claim: Claim, reason: str, limit: int) -> bool:
    """Note an unexpected end; True where it was the last that is allowed, and the task has failed."""
    state = await scalar(
        c,
        """
        UPDATE tasks SET errors = errors + 1, leased_until = NULL, owner = NULL, note = :reason, estimate_nanos = 0,
            state = CASE WHEN errors + 1 >= :limit THEN 'failed' ELSE 'todo' END
        WHERE run_id = :run_id AND iteration = :iteration AND phase = :phase AND image = :image
            AND attempt = :attempt AND state = 'leased'
        RETURNING state
        """,
        reason=reason,
        limit=limit,
        **claim.as_json(),
    )
    return bool(state == "failed")


@dataclass(frozen=True)
class Held:
    """A claim, what its task waits for, and the engines and the judge that the task knows."""

    claim: Claim
    note: str | None
    served_by: JsonObject


async def renew(c: AsyncConnection, held: Sequence[Held], lease_s: float) -> set[Claim]:
    """Longer leases, and the notes of what is waited for. Claims that do not come back are no longer ours.

    A run that is paused keeps its tasks until what is under way is committed; a cancelled one loses them at once.
    Nor is one ours whose task waits while the run's engines have changed: it might wait for ever for an engine
    that was swapped because it died.
    """
    rows = await fetch(
        c,
        """
        UPDATE tasks t SET leased_until = now() + :lease_s * interval '1 second', note = k.note
        FROM json_to_recordset(CAST(:held AS json)) AS k(run_id text, iteration bigint, phase text, image text,
            attempt bigint, note text, served_by jsonb), runs r, iterations i
        WHERE (t.run_id, t.iteration, t.phase, t.image, t.attempt)
                = (k.run_id, k.iteration, k.phase, k.image, k.attempt)
            AND t.state = 'leased' AND r.id = t.run_id AND r.status <> 'cancelled'
            AND i.run_id = t.run_id AND i.number = t.iteration
            AND (k.note IS NULL OR k.served_by = jsonb_build_object('engines', r.engines, 'judge', i.judge))
        RETURNING t.run_id, t.iteration, t.phase, t.image, t.attempt
        """,
        held=to_json([{**one.claim.as_json(), "note": one.note, "served_by": one.served_by} for one in held]),
        lease_s=lease_s,
    )
    return {_claim(row) for row in rows}


async def _set(c: AsyncConnection, claims: Sequence[Claim], change: str) -> None:
    await execute(
        c,
        f"""
        UPDATE tasks SET {change}
        FROM json_populate_recordset(NULL::tasks, CAST(:claims AS json)) k
        WHERE (tasks.run_id, tasks.iteration, tasks.phase, tasks.image, tasks.attempt)
            = (k.run_id, k.iteration, k.phase, k.image, k.attempt) AND tasks.state = 'leased'
        """,
        claims=_json(claims),
    )


def _json(claims: Sequence[Claim]) -> Any:
    return to_json([one.as_json() for one in claims])


def _claim(row: JsonObject) -> Claim:
    key = TaskKey(row["run_id"], row["iteration"], row["phase"], row["image"])
    return Claim(key, row["attempt"])
