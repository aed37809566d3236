"""Queries on tasks: planning, publishing, claiming, renewing. A task is known by (run, iteration, phase, image)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.database import to_json
from services.coordinator.repositories.rows import execute, fetch, fetch_one, scalar
from shared.types import JsonObject

OPEN = "('todo', 'published', 'leased')"
KEY = "run_id, iteration, phase, image"


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


async def plan(c: AsyncConnection, run_id: str, iteration: int, phase: str, lacking: str) -> int:
    """A task for every image that `lacking` (a query of ours) finds; finished ones that still lack are reset."""
    return await execute(
        c,
        f"""
        INSERT INTO tasks ({KEY})
        SELECT DISTINCT :run_id, CAST(:iteration AS bigint), :phase, image FROM ({lacking}) lacking
        ON CONFLICT ({KEY}) DO UPDATE SET state = 'todo', errors = tasks.errors + 1, note = NULL
        WHERE tasks.state = 'done'
        """,
        run_id=run_id,
        iteration=iteration,
        phase=phase,
    )


@dataclass(frozen=True)
class Counts:
    """How the open tasks of a phase stand: `ready` to be published, or `out` with the queue and the workers."""

    ready: int
    out: int


async def count_open(c: AsyncConnection, run_id: str, iteration: int, phase: str) -> Counts:
    row = await fetch_one(
        c,
        f"""
        SELECT count(*) FILTER (WHERE state = 'todo' OR state = 'leased' AND leased_until < now()) AS ready,
            count(*) AS num_open
        FROM tasks
        WHERE run_id = :run_id AND iteration = :iteration AND phase = :phase AND state IN {OPEN}
        """,
        run_id=run_id,
        iteration=iteration,
        phase=phase,
    )
    assert row is not None, "an aggregate has a row"
    return Counts(row["ready"], row["num_open"] - row["ready"])


async def publish(
    c: AsyncConnection, run_id: str, iteration: int, phase: str, bound: int, *, again: bool
) -> list[TaskKey]:
    """Mark tasks as published, never more than `bound` at once, and give their keys.

    Those with an expired lease are published anew; with `again` (the queue was lost) also all that are out.
    """
    if again:
        await execute(
            c, "UPDATE tasks SET state = 'todo' WHERE run_id = :run_id AND state = 'published'", run_id=run_id
        )
    rows = await fetch(
        c,
        f"""
        WITH out AS (
            SELECT count(*) AS num FROM tasks
            WHERE run_id = :run_id AND (state = 'published' OR state = 'leased' AND leased_until >= now())
        ), chosen AS (
            SELECT {KEY} FROM tasks
            WHERE run_id = :run_id AND iteration = :iteration AND phase = :phase
                AND (state = 'todo' OR state = 'leased' AND leased_until < now())
            ORDER BY image LIMIT greatest(0, :bound - (SELECT num FROM out)) FOR UPDATE SKIP LOCKED
        )
        UPDATE tasks SET state = 'published', published_at = now(), leased_until = NULL, owner = NULL,
            note = NULL
        FROM chosen WHERE (tasks.run_id, tasks.iteration, tasks.phase, tasks.image)
            = (chosen.run_id, chosen.iteration, chosen.phase, chosen.image)
        RETURNING tasks.run_id, tasks.iteration, tasks.phase, tasks.image
        """,
        run_id=run_id,
        iteration=iteration,
        phase=phase,
        bound=bound,
    )
    return sorted(TaskKey(**row) for row in rows)


async def claim(c: AsyncConnection, keys: Sequence[TaskKey], owner: str, lease_s: float) -> list[Claim]:
    """Take those that are free and still wanted: the run is running and in the task's phase.

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
            WHERE t.state IN ('todo', 'published') OR t.state = 'leased' AND t.leased_until < now()
            ORDER BY {", ".join("t." + name for name in KEY.split(", "))} FOR UPDATE OF t SKIP LOCKED
        )
        UPDATE tasks SET state = 'leased', attempt = tasks.attempt + 1, owner = :owner, note = NULL,
            leased_until = now() + :lease_s * interval '1 second'
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
    await _set(c, claims, "state = 'todo', leased_until = NULL, owner = NULL, note = NULL")


async def count_error(c: AsyncConnection, claim: Claim, reason: str, limit: int) -> bool:
    """Note an unexpected end; True where it was the last that is allowed, and the task has failed."""
    state = await scalar(
        c,
        """
        UPDATE tasks SET errors = errors + 1, leased_until = NULL, owner = NULL, note = :reason,
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


async def renew(c: AsyncConnection, claims: Sequence[tuple[Claim, str | None]], lease_s: float) -> set[Claim]:
    """Longer leases, and the notes of what is waited for. Claims that do not come back are no longer ours."""
    rows = await fetch(
        c,
        """
        UPDATE tasks t SET leased_until = now() + :lease_s * interval '1 second', note = k.note
        FROM json_populate_recordset(NULL::tasks, CAST(:claims AS json)) k, runs r
        WHERE (t.run_id, t.iteration, t.phase, t.image, t.attempt)
                = (k.run_id, k.iteration, k.phase, k.image, k.attempt)
            AND t.state = 'leased' AND r.id = t.run_id AND r.status = 'running'
        RETURNING t.run_id, t.iteration, t.phase, t.image, t.attempt
        """,
        claims=to_json([{**one.as_json(), "note": note} for one, note in claims]),
        lease_s=lease_s,
    )
    return {_claim(row) for row in rows}


async def waiting_note(c: AsyncConnection, run_id: str) -> str | None:
    """What a task of the run waits for just now; None where none waits."""
    row = await fetch_one(
        c,
        """
        SELECT note FROM tasks WHERE run_id = :run_id AND state = 'leased' AND note IS NOT NULL
        ORDER BY note LIMIT 1
        """,
        run_id=run_id,
    )
    return None if row is None else str(row["note"])


async def forget(c: AsyncConnection, run_id: str, iteration: int, phase: str) -> None:
    """The phase is over and its tasks are of no more use."""
    await execute(
        c,
        "DELETE FROM tasks WHERE run_id = :run_id AND iteration = :iteration AND phase = :phase",
        run_id=run_id,
        iteration=iteration,
        phase=phase,
    )


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
