"""Queries on instructions: seeding a run, the two pools, and what an instruction's life was."""

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.coordinator.database import Reader
from services.coordinator.repositories.rows import execute, fetch, fetch_one, join_by_hashing, scalar
from shared.types import JsonObject

COLUMNS = "id, image, text, task_type, origin, parent, born_in, dialogue, turn"
ROWS_AT_ONCE = 1000
BORN_NOW = "i.born_in = :iteration"
SELECTED_BEFORE = """
    EXISTS (SELECT FROM selections s
        WHERE s.run_id = :run_id AND s.iteration = :iteration - 1 AND s.instruction_id = i.id)
"""


async def seed(c: AsyncConnection, run_id: str, dataset: str) -> int:
    """Iteration 1's tuning pool: every item of the data set."""
    return await execute(
        c,
        """
        INSERT INTO instructions (run_id, id, image, text, task_type, origin, born_in, dialogue, turn)
        SELECT :run_id, id, image, text, task_type, 'seed', 1, dialogue, turn
        FROM dataset_items WHERE dataset = :dataset ON CONFLICT DO NOTHING
        """,
        run_id=run_id,
        dataset=dataset,
    )


async def page(
    c: AsyncConnection, run_id: str, pool: str, iteration: int, after: int, limit: int
) -> list[JsonObject]:
    """A page of a pool in id order, from behind the id `after`.

    It costs the same at any depth and however large the run has grown since: a page of each birth, merged.
    """
    member = await membership(c, run_id, pool, iteration)
    return await fetch(
        c,
        f"""
        SELECT {COLUMNS} FROM generate_series(CAST(:first AS bigint), :iteration) birth CROSS JOIN LATERAL (
            SELECT {COLUMNS} FROM instructions i
            WHERE run_id = :run_id AND born_in = birth AND id > :after AND {member} ORDER BY id LIMIT :limit
        ) born ORDER BY id LIMIT :limit
        """,
        run_id=run_id,
        first=iteration if member == BORN_NOW else 1,
        iteration=iteration,
        after=after,
        limit=limit,
    )


async def by_image(
    engine: AsyncEngine, run_id: str, pool: str, iteration: int
) -> AsyncIterator[list[JsonObject]]:
    """The pool in batches, image by image, with the teacher's answers; `answer` is None where there is none.

    Each batch is a query of its own: a slow reader holds neither a connection nor a snapshot, whose dead rows
    nobody could clean away.
    """
    async with Reader(engine).connect() as c:
        member = await membership(c, run_id, pool, iteration)
    query = f"""
        SELECT {", ".join(f"i.{name}" for name in COLUMNS.split(", "))}, a.text AS answer, a.request_hash,
            a.model_revision, a.prompt_version
        FROM (
            SELECT {COLUMNS} FROM instructions i
            WHERE run_id = :run_id AND {member} AND (image, id) > (:image, :id)
            ORDER BY image, id LIMIT {ROWS_AT_ONCE}
        ) i
        LEFT JOIN bindings b ON b.run_id = :run_id AND b.instruction_id = i.id
            AND b.role = 'teacher' AND b.checkpoint = ''
        LEFT JOIN answers a ON a.request_hash = b.request_hash
        ORDER BY i.image, i.id
    """
    async for rows in _batches(engine, query, run_id=run_id, iteration=iteration):
        yield rows


async def count_answered(c: AsyncConnection, run_id: str, pool: str, iteration: int) -> JsonObject:
    """How many of the pool's instructions have a teacher's answer, and how many have none."""
    member = await membership(c, run_id, pool, iteration)
    await join_by_hashing(c)
    row = await fetch_one(
        c,
        f"""
        SELECT count(b.run_id) AS answered, count(*) - count(b.run_id) AS unanswered
        FROM instructions i LEFT JOIN bindings b ON b.run_id = i.run_id AND b.instruction_id = i.id
            AND b.role = 'teacher' AND b.checkpoint = ''
        WHERE i.run_id = :run_id AND {member}
        """,
        run_id=run_id,
        iteration=iteration,
    )
    assert row is not None, "an aggregate has a row"
    return row


async def references(engine: AsyncEngine, dataset: str) -> AsyncIterator[list[JsonObject]]:
    """A pre-training data set's captions, one turn each, in batches, image by image."""
    query = f"""
        SELECT id, image, dialogue, turn, text, reference AS answer FROM dataset_items
        WHERE dataset = :dataset AND (image, id) > (:image, :id) ORDER BY image, id LIMIT {ROWS_AT_ONCE}
    """
    async for rows in _batches(engine, query, dataset=dataset):
        yield rows


async def _batches(engine: AsyncEngine, query: str, **values: Any) -> AsyncIterator[list[JsonObject]]:
    image, last = "", -1
    while True:
        async with Reader(engine).connect() as c:
            rows = await fetch(c, query, image=image, id=last, **values)
        if rows:
            yield rows
            image, last = rows[-1]["image"], rows[-1]["id"]
        if len(rows) < ROWS_AT_ONCE:
            return


async def get(c: AsyncConnection, run_id: str, instruction_id: int) -> JsonObject | None:
    return await fetch_one(
        c,
        f"SELECT {COLUMNS} FROM instructions WHERE run_id = :run_id AND id = :id",
        run_id=run_id,
        id=instruction_id,
    )


async def ancestry(c: AsyncConnection, run_id: str, instruction_id: int) -> list[JsonObject]:
    """From the instruction up to the seed it comes from."""
    return await fetch(
        c,
        f"""
        WITH RECURSIVE up AS (
            SELECT {COLUMNS}, 0 AS depth FROM instructions WHERE run_id = :run_id AND id = :id
            UNION ALL
            SELECT {", ".join(f"i.{name.strip()}" for name in COLUMNS.split(","))}, up.depth + 1
            FROM instructions i JOIN up ON i.id = up.parent WHERE i.run_id = :run_id
        )
        SELECT {COLUMNS} FROM up ORDER BY depth
        """,
        run_id=run_id,
        id=instruction_id,
    )


async def children(c: AsyncConnection, run_id: str, instruction_id: int) -> list[JsonObject]:
    return await fetch(
        c,
        f"SELECT {COLUMNS} FROM instructions WHERE run_id = :run_id AND parent = :id ORDER BY born_in, id",
        run_id=run_id,
        id=instruction_id,
    )


async def answers(c: AsyncConnection, run_id: str, instruction_id: int) -> list[JsonObject]:
    """Every answer that the instruction has, with the iteration whose checkpoint gave it."""
    return await fetch(
        c,
        """
        SELECT b.role, nullif(b.checkpoint, '') AS checkpoint, t.number AS iteration, a.text, a.finish_reason,
            a.model_revision, a.prompt_version
        FROM bindings b JOIN answers a USING (request_hash)
        LEFT JOIN iterations t ON t.run_id = b.run_id AND t.checkpoint = b.checkpoint
        WHERE b.run_id = :run_id AND b.instruction_id = :id ORDER BY b.role DESC, t.number
        """,
        run_id=run_id,
        id=instruction_id,
    )


async def verdicts(c: AsyncConnection, run_id: str, instruction_id: int) -> list[JsonObject]:
    return await fetch(
        c,
        """
        SELECT iteration, unjudged, reason, teacher_score, student_score, difficulty, runs, model, revision,
            prompt_version
        FROM verdicts WHERE run_id = :run_id AND instruction_id = :id ORDER BY iteration
        """,
        run_id=run_id,
        id=instruction_id,
    )


async def membership(c: AsyncConnection, run_id: str, pool: str, iteration: int) -> str:
    """What makes an instruction `i` part of a pool; both are views on one table.

    The tuning pool is what was born in the iteration. Where nothing new is written, nothing was: then it is what the
    iteration before selected.
    """
    if pool == "cache":
        return "i.born_in <= :iteration"
    # by its order, so that an index finds it: a mere EXISTS may be searched for among all rows
    query = "SELECT id FROM instructions WHERE run_id = :run_id AND born_in = :iteration ORDER BY id LIMIT 1"
    first_born = await scalar(c, query, run_id=run_id, iteration=iteration)
    return SELECTED_BEFORE if first_born is None else BORN_NOW
