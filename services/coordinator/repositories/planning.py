"""The driver's queries on tasks: plan them, publish them within a bound, count them, forget them."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.repositories.rows import execute, fetch, fetch_one, join_by_hashing, scalar
from services.coordinator.repositories.tasks import KEY, TaskKey

# What phases read and write. A planner that knows these tables as they were before the last phase, or before the
# run's first instructions, may join half a million rows by nested loops.
READ_BY_PHASES = (
    "instructions, bindings, answers, verdicts, selections, candidates, failures, evaluation_answers, "
    "evaluation_results"
)
OF_PHASE = "run_id = :run_id AND iteration = :iteration AND phase = :phase"
IS_OUT = "state IN ('published', 'leased')"
TODO = f"SELECT image FROM tasks WHERE {OF_PHASE} AND state = 'todo'"
# by its order, because a mere EXISTS is searched for among all rows, which takes longer the more of them are done
FIRST_TODO = f"{TODO} {{where}} ORDER BY image LIMIT 1"
EXPIRED = f"SELECT image FROM tasks WHERE {OF_PHASE} AND {IS_OUT} AND leased_until < now()"


@dataclass(frozen=True)
class Look:
    """How the open tasks of a phase stand: whether some are `ready`, how many are `out` with queue and workers."""

    ready: bool
    out: int


async def plan(c: AsyncConnection, run_id: str, iteration: int, phase: str, lacking: str) -> int:
    """A task for every image that `lacking` (a query of ours) finds; finished ones that still lack are reset."""
    await join_by_hashing(c)
    return await execute(
        c,
        f"""
        INSERT INTO tasks ({KEY})
        SELECT :run_id, CAST(:iteration AS bigint), :phase, image FROM ({lacking}) lacking
        GROUP BY image ORDER BY image
        ON CONFLICT ({KEY}) DO UPDATE SET state = 'todo', errors = tasks.errors + 1, note = NULL
        WHERE tasks.state = 'done'
        """,
        run_id=run_id,
        iteration=iteration,
        phase=phase,
    )


async def analyze(c: AsyncConnection, tables: str = READ_BY_PHASES) -> None:
    """Fresh statistics for the planner: O(1), a sample of each table. The names come from our own code."""
    await execute(c, f"ANALYZE {tables}")


async def look(c: AsyncConnection, run_id: str, iteration: int, phase: str, after: str) -> Look:
    """How the phase stands, at the cost of what is out, however many tasks wait or are done.

    `after` is the image that was published last: the index holds dead entries of all those before.
    """
    row = await fetch_one(
        c,
        f"""
        WITH out AS (
            SELECT leased_until FROM tasks
            WHERE {OF_PHASE} AND {IS_OUT}
        )
        SELECT count(*) FILTER (WHERE leased_until IS NULL OR leased_until >= now()) AS out,
            coalesce(bool_or(leased_until < now()), false)
                OR ({FIRST_TODO.format(where="AND image > :after")}) IS NOT NULL
                OR ({FIRST_TODO.format(where="")}) IS NOT NULL AS ready
        FROM out
        """,
        run_id=run_id,
        iteration=iteration,
        phase=phase,
        after=after,
    )
    assert row is not None, "an aggregate has a row"
    return Look(row["ready"], row["out"])


async def publish(
    c: AsyncConnection,
    run_id: str,
    iteration: int,
    phase: str,
    bound: int,
    *,
    again: bool,
    after: str = "",
) -> list[TaskKey]:
    """Mark tasks as published, never more than `bound` at once, and give their keys.

    Those with an expired lease are published anew; with `again` (the queue was lost) also all that are out. The
    others come in the order of their images from behind `after`, and then from the first again.
    """
    if again:
        await execute(
            c, "UPDATE tasks SET state = 'todo' WHERE run_id = :run_id AND state = 'published'", run_id=run_id
        )
    where = {"run_id": run_id, "iteration": iteration, "phase": phase}
    keys = await _publish(c, EXPIRED, **where)
    for start in ("",) if again or not after else (after, ""):
        room = bound - await _num_out(c, run_id)
        if room > 0:
            keys += await _publish(
                c, f"{TODO} AND image > :after ORDER BY image LIMIT :room", **where, after=start, room=room
            )
    return sorted(keys)


async def _publish(c: AsyncConnection, chosen: str, **values: Any) -> list[TaskKey]:
    rows = await fetch(
        c,
        f"""
        WITH chosen AS ({chosen} FOR UPDATE SKIP LOCKED)
        UPDATE tasks SET state = 'published', published_at = now(), leased_until = NULL, owner = NULL,
            note = NULL
        FROM chosen WHERE tasks.run_id = :run_id AND tasks.iteration = :iteration AND tasks.phase = :phase
            AND tasks.image = chosen.image
        RETURNING tasks.run_id, tasks.iteration, tasks.phase, tasks.image
        """,
        **values,
    )
    return [TaskKey(**row) for row in rows]


async def _num_out(c: AsyncConnection, run_id: str) -> int:
    return int(
        await scalar(c, f"SELECT count(*) FROM tasks WHERE run_id = :run_id AND {IS_OUT}", run_id=run_id)
    )


async def are_leased(c: AsyncConnection, run_id: str) -> bool:
    """Whether workers are at tasks of the run; after a pause they are until their calls have come to an end."""
    leased = f"SELECT FROM tasks WHERE run_id = :run_id AND {IS_OUT} AND state = 'leased' AND leased_until >= now()"
    return bool(await scalar(c, f"SELECT EXISTS ({leased})", run_id=run_id))


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
