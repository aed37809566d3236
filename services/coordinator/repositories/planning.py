"""The driver's queries on tasks: plan them, publish them within a bound, count them, forget them."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.repositories.rows import execute, fetch, fetch_one
from services.coordinator.repositories.tasks import KEY, TaskKey

OPEN = "('todo', 'published', 'leased')"


@dataclass(frozen=True)
class Counts:
    """How the open tasks of a phase stand: `ready` to be published, or `out` with the queue and the workers."""

    ready: int
    out: int


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
    """The phase's tasks are of no more use; whoever still works on one finds that it is not his any more."""
    await execute(
        c,
        """
        WITH held AS (
            SELECT image FROM tasks WHERE run_id = :run_id AND iteration = :iteration AND phase = :phase
            ORDER BY image FOR UPDATE
        )
        DELETE FROM tasks USING held WHERE tasks.run_id = :run_id AND tasks.iteration = :iteration
            AND tasks.phase = :phase AND tasks.image = held.image
        """,
        run_id=run_id,
        iteration=iteration,
        phase=phase,
    )
