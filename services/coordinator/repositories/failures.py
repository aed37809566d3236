"""Queries on what failed for good: counted in items, listed by pages, forgotten so that it is asked again.

An item is an instruction, a selected parent or a held-out question. A failure of a whole image (instruction 0)
counts every item of the image that has no result.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.repositories.rows import execute, fetch, fetch_one, scalar
from services.coordinator.repositories.work import TOTAL
from services.coordinator.states import Phase
from shared.types import JsonObject

NO_TEACHER_ANSWER = "the teacher gave no answer"  # of a verdict that no second try of the judge can change
NUM_REASONS = 3
WHOLE_IMAGE = "f.run_id = :run_id AND f.instruction_id = 0 AND f.phase"
# an item's own failure stands for itself; only whole images, which are few, are looked up
FAILED = f"""
    SELECT DISTINCT ON (iteration, phase, id) iteration, phase, id, reason FROM (
        SELECT iteration, phase, instruction_id AS id, reason FROM failures
        WHERE run_id = :run_id AND instruction_id <> 0
        UNION ALL
        SELECT f.iteration, f.phase, i.id, f.reason FROM failures f
        JOIN instructions i ON i.run_id = f.run_id AND i.image = f.image AND i.born_in = f.iteration
        WHERE {WHOLE_IMAGE} = 'teaching' AND NOT EXISTS (SELECT FROM bindings b
            WHERE b.run_id = f.run_id AND b.instruction_id = i.id AND b.role = 'teacher')
        UNION ALL
        SELECT f.iteration, f.phase, i.id, f.reason FROM failures f
        JOIN instructions i ON i.run_id = f.run_id AND i.image = f.image AND i.born_in <= f.iteration
        WHERE {WHOLE_IMAGE} = 'assessing' AND NOT EXISTS (SELECT FROM verdicts v
            WHERE v.run_id = f.run_id AND v.iteration = f.iteration AND v.instruction_id = i.id AND NOT v.unjudged)
        UNION ALL
        SELECT f.iteration, f.phase, i.id, f.reason FROM failures f
        JOIN instructions i ON i.run_id = f.run_id AND i.image = f.image
        JOIN selections s ON s.run_id = f.run_id AND s.iteration = f.iteration AND s.instruction_id = i.id
        WHERE {WHOLE_IMAGE} = 'augmenting' AND NOT EXISTS (SELECT FROM candidates c
            WHERE c.run_id = f.run_id AND c.iteration = f.iteration AND c.parent = i.id)
        UNION ALL
        SELECT f.iteration, f.phase, d.id, f.reason FROM failures f
        JOIN runs r ON r.id = f.run_id
        JOIN dataset_items d ON d.dataset = r.config->'evaluation'->>'dataset' AND d.image = f.image
        WHERE {WHOLE_IMAGE} = 'evaluating' AND NOT EXISTS (SELECT FROM evaluation_answers e
            WHERE e.run_id = f.run_id AND e.iteration = f.iteration AND e.item_id = d.id)
        UNION ALL
        SELECT f.iteration, f.phase, b.id, f.reason FROM failures f
        JOIN runs r ON r.id = f.run_id JOIN benchmark_items b ON b.dataset = r.dataset AND b.image = f.image
        WHERE {WHOLE_IMAGE} = 'measuring' AND NOT EXISTS (SELECT FROM evaluation_results e
            WHERE e.run_id = f.run_id AND e.item_id = b.id)
    ) of_phases ORDER BY iteration, phase, id, reason
"""
OF_PHASE = "iteration = :iteration AND phase = :phase"
# the next iteration's teacher answers are asked for ahead of time
FORGOTTEN = f"({OF_PHASE} OR iteration > :iteration)"
UNJUDGED = f"""
    run_id = :run_id AND iteration = :iteration AND unjudged AND reason IS DISTINCT FROM '{NO_TEACHER_ANSWER}'
"""


@dataclass(frozen=True)
class Place:
    """Where in the list of failures a page begins: behind this one."""

    iteration: int = -1
    phase: str = ""
    image: str = ""
    instruction_id: int = 0


async def counts(c: AsyncConnection, run_id: str) -> list[JsonObject]:
    """How many items failed, by iteration and phase; only where any did."""
    return await fetch(
        c,
        f"SELECT iteration, phase, count(*) AS failed FROM ({FAILED}) failed GROUP BY 1, 2 ORDER BY 1, 2",
        run_id=run_id,
    )


async def stand(c: AsyncConnection, run_id: str, iteration: int, phase: Phase) -> JsonObject:
    """A phase's items, how many of them failed, and the commonest reasons."""
    total = await fetch_one(c, TOTAL[phase], run_id=run_id, iteration=iteration)
    rows = await fetch(
        c,
        f"""
        SELECT left(reason, 200) AS reason, count(*) AS failed FROM ({FAILED}) failed
        WHERE {OF_PHASE} GROUP BY 1 ORDER BY 2 DESC, 1
        """,
        run_id=run_id,
        iteration=iteration,
        phase=phase,
    )
    return {
        "items": int((total or {}).get("num") or 0),
        "failed": sum(row["failed"] for row in rows),
        "reasons": rows[:NUM_REASONS],
    }


async def page(
    c: AsyncConnection, run_id: str, iteration: int | None, phase: str | None, after: Place, limit: int
) -> list[JsonObject]:
    """In the order of iteration, phase and image, from behind `after`, with the text of what failed."""
    wanted = {"iteration": iteration, "phase": phase}
    given = {name: value for name, value in wanted.items() if value is not None}
    only = "".join(f" AND f.{name} = :{name}" for name in given)
    return await fetch(
        c,
        f"""
        SELECT f.iteration, f.phase, f.image, f.instruction_id, f.reason, f.attempts,
            coalesce(i.text, d.text, b.content->>'question') AS text
        FROM failures f JOIN runs r ON r.id = f.run_id
        LEFT JOIN instructions i ON i.run_id = f.run_id AND i.id = f.instruction_id AND f.phase <> 'evaluating'
        LEFT JOIN benchmark_items b ON b.dataset = r.dataset AND b.id = f.instruction_id AND f.phase = 'measuring'
        LEFT JOIN dataset_items d ON d.dataset = r.config->'evaluation'->>'dataset'
            AND d.id = f.instruction_id AND f.phase = 'evaluating'
        WHERE f.run_id = :run_id{only} AND (f.iteration, f.phase, f.image, f.instruction_id)
            > (CAST(:at_iteration AS bigint), :at_phase, :at_image, CAST(:at_id AS bigint))
        ORDER BY f.iteration, f.phase, f.image, f.instruction_id LIMIT :limit
        """,
        run_id=run_id,
        at_iteration=after.iteration,
        at_phase=after.phase,
        at_image=after.image,
        at_id=after.instruction_id,
        limit=limit,
        **given,
    )


async def reasons(
    c: AsyncConnection, run_id: str, iteration: int | None, phase: str | None, limit: int
) -> list[JsonObject]:
    """The commonest beginnings of reasons, with how many records have each; a record may stand for a whole image."""
    wanted = {"iteration": iteration, "phase": phase}
    given = {name: value for name, value in wanted.items() if value is not None}
    only = "".join(f" AND {name} = :{name}" for name in given)
    return await fetch(
        c,
        f"""
        SELECT left(reason, 120) AS reason, count(*) AS failed FROM failures
        WHERE run_id = :run_id{only} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT :limit
        """,
        run_id=run_id,
        limit=limit,
        **given,
    )


async def num_retryable(c: AsyncConnection, run_id: str, iteration: int, phase: Phase) -> int:
    """How many items of the phase `forget` would have asked again."""
    unjudged = f"UNION SELECT instruction_id FROM verdicts WHERE {UNJUDGED}" if phase == "assessing" else ""
    query = f"SELECT count(*) FROM (SELECT id FROM ({FAILED}) failed WHERE {FORGOTTEN} {unjudged}) items"
    return int(await scalar(c, query, run_id=run_id, iteration=iteration, phase=phase))


async def forget(c: AsyncConnection, run_id: str, iteration: int, phase: Phase) -> None:
    """The failures are gone: what they stood for lacks a result again, and its tasks are open."""
    where = {"run_id": run_id, "iteration": iteration}
    if phase == "assessing":
        await execute(c, f"DELETE FROM verdicts WHERE {UNJUDGED}", **where)
    await execute(
        c,
        f"DELETE FROM failures WHERE run_id = :run_id AND {FORGOTTEN}",
        phase=phase,
        **where,
    )
    await execute(
        c,
        f"""
        UPDATE tasks SET state = 'todo', errors = 0, note = NULL
        WHERE run_id = :run_id AND {OF_PHASE} AND state = 'failed'
        """,
        phase=phase,
        **where,
    )
