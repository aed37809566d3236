"""Queries on evaluations: what they are, what came of each question, and those that a run began for its student."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.database import to_json
from services.coordinator.repositories.rows import execute, fetch, fetch_one, insert
from shared.types import JsonObject

COLUMNS = """
    r.id, r.name, r.dataset AS benchmark, b.kind, b.split, e.model, e.settings, e.judge, e.of_run AS run,
    e.of_iteration AS iteration, e.automatic, e.scores, r.status, r.reason, r.progress,
    d.num_instructions AS items, r.created_at, r.updated_at
"""
SOURCE = """
    FROM evaluations e JOIN runs r ON r.id = e.run_id JOIN datasets d ON d.name = r.dataset
    JOIN benchmarks b ON b.dataset = r.dataset
"""
IS_UNREADABLE = """
    (s.run_id IS NOT NULL AND CASE WHEN s.review IS NULL THEN s.prediction IS NULL
        ELSE coalesce((s.review->>'unjudged')::boolean, false) END)
"""
OUTCOME = f"""
    CASE WHEN s.run_id IS NULL AND f.reason IS NOT NULL THEN 'failed' WHEN s.run_id IS NULL THEN 'open'
        WHEN {IS_UNREADABLE} THEN 'unreadable' WHEN s.review IS NOT NULL THEN 'judged'
        WHEN s.correct THEN 'right' ELSE 'wrong' END
"""
# a failure of the picture's whole task counts for each of its questions that has no result
ITEMS = f"""
    SELECT i.id, i.name, i.image, i.content, s.prediction, s.correct, s.likelihoods, s.review,
        a.text AS answer_text, f.reason AS failure, {OUTCOME} AS outcome
    FROM runs r JOIN benchmark_items i ON i.dataset = r.dataset
    LEFT JOIN evaluation_results s ON s.run_id = r.id AND s.item_id = i.id
    LEFT JOIN answers a ON a.request_hash = s.request_hash
    LEFT JOIN LATERAL (
        SELECT reason FROM failures f WHERE f.run_id = r.id AND f.phase = 'measuring' AND f.image = i.image
            AND f.instruction_id IN (0, i.id) ORDER BY f.instruction_id DESC LIMIT 1
    ) f ON s.run_id IS NULL
    WHERE r.id = :run_id
"""
# a branch's students up to its iteration are those of the run that it was branched from
LINE = """
    WITH RECURSIVE line AS (
        SELECT id, parent_run, branched_from, CAST(NULL AS bigint) AS last FROM runs WHERE id = :run
        UNION ALL
        SELECT p.id, p.parent_run, p.branched_from, CAST(least(l.last, l.branched_from) AS bigint)
        FROM line l JOIN runs p ON p.id = l.parent_run
    )
"""
IN_LINE = "EXISTS (SELECT FROM line WHERE line.id = e.of_run AND (line.last IS NULL OR e.of_iteration <= line.last))"
ROWS_AT_ONCE = 1000


async def create(c: AsyncConnection, run: JsonObject, evaluation: JsonObject) -> bool:
    """A run of the kind `evaluation`, on its way; False where it is there already."""
    created = await execute(
        c,
        """
        INSERT INTO runs (id, name, kind, dataset, config, engines, status, target, progress)
        VALUES (:id, :name, 'evaluation', :dataset, CAST(:config AS jsonb), '{}', 'created', 0, '{}')
        ON CONFLICT DO NOTHING
        """,
        **{**run, "config": to_json(run["config"])},
    )
    if created:
        await insert(c, "evaluations", [{**evaluation, "run_id": run["id"]}])
    return bool(created)


async def get(c: AsyncConnection, run_id: str) -> JsonObject | None:
    return await fetch_one(c, f"SELECT {COLUMNS} {SOURCE} WHERE e.run_id = :run_id", run_id=run_id)


async def everything(
    c: AsyncConnection, run: str | None = None, benchmark: str | None = None
) -> list[JsonObject]:
    """The newest first; of one run's students, or on one benchmark, where that is asked for.

    A branch's students include those of its parent up to where it was branched off.
    """
    wanted = {IN_LINE: ("run", run), "r.dataset = :benchmark": ("benchmark", benchmark)}
    given = {where: told for where, told in wanted.items() if told[1] is not None}
    return await fetch(
        c,
        f"""
        {LINE if run is not None else ""} SELECT {COLUMNS} {SOURCE} WHERE {" AND ".join(given) or "true"}
        ORDER BY r.created_at DESC, r.id
        """,
        **dict(given.values()),
    )


async def begun_by(c: AsyncConnection, ids: Sequence[str]) -> list[JsonObject]:
    """Where those stand that a run began and waits for."""
    return await fetch(
        c,
        "SELECT id, name, status, reason, progress FROM runs WHERE id = ANY(:ids) ORDER BY id",
        ids=list(ids),
    )


async def followers(c: AsyncConnection, run_id: str, statuses: Sequence[str]) -> list[str]:
    """The evaluations that a run began and that are in one of the statuses."""
    rows = await fetch(
        c,
        """
        SELECT r.id FROM evaluations e JOIN runs r ON r.id = e.run_id
        WHERE e.of_run = :run_id AND e.automatic AND r.status = ANY(:statuses) ORDER BY r.id
        """,
        run_id=run_id,
        statuses=list(statuses),
    )
    return [row["id"] for row in rows]


async def counts(c: AsyncConnection, run_id: str) -> dict[str, int]:
    """How many questions came to each outcome."""
    rows = await fetch(c, f"SELECT outcome, count(*) AS num FROM ({ITEMS}) items GROUP BY 1", run_id=run_id)
    return {row["outcome"]: row["num"] for row in rows}


async def items(
    c: AsyncConnection,
    run_id: str,
    *,
    outcome: str | None = None,
    group: str | None = None,
    after: int = 0,
    limit: int = ROWS_AT_ONCE,
) -> list[JsonObject]:
    """A page of questions with what came of them, in their official order, from behind the id `after`."""
    wanted: dict[str, Any] = {"outcome = :outcome": outcome, "jsonb_exists(content->'groups', :group)": group}
    given = [condition for condition, value in wanted.items() if value is not None]
    values = {"outcome": outcome, "group": group}
    return await fetch(
        c,
        f"""
        SELECT * FROM ({ITEMS} AND i.id > :after) items
        WHERE {" AND ".join(given) or "true"} ORDER BY id LIMIT :limit
        """,
        run_id=run_id,
        after=after,
        limit=limit,
        **{name: value for name, value in values.items() if value is not None},
    )


async def all_items(c: AsyncConnection, run_id: str) -> AsyncIterator[list[JsonObject]]:
    """All of them, in batches."""
    after = 0
    while rows := await items(c, run_id, after=after):
        yield rows
        after = rows[-1]["id"]


async def set_scores(c: AsyncConnection, run_id: str, scores: JsonObject) -> None:
    """By column, in the table's order."""
    await execute(
        c,
        "UPDATE evaluations SET scores = CAST(:scores AS json) WHERE run_id = :run_id",
        run_id=run_id,
        scores=orjson.dumps(scores).decode(),
    )
