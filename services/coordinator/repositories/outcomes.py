"""Queries that close a phase: unanswered instructions, selection, counts of an iteration, held-out results."""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.repositories import iterations
from services.coordinator.repositories.failures import NO_TEACHER_ANSWER
from services.coordinator.repositories.rows import execute, fetch, fetch_one, join_by_hashing
from services.coordinator.run_config import SelectionMode
from shared.types import JsonObject

CHOSEN: dict[SelectionMode, str] = {
    "balanced": "place <= CASE WHEN is_difficult THEN :number - num_easy ELSE num_easy END",
    "difficult_only": "is_difficult AND place <= :number",
    "easy_only": "NOT is_difficult AND place <= :number",
    "random": "place_in_all <= :number",
}


async def leave_unanswered_unjudged(c: AsyncConnection, run_id: str, iteration: int) -> int:
    """Without a teacher's answer there is nothing to compare with."""
    await join_by_hashing(c)
    return await execute(
        c,
        f"""
        INSERT INTO verdicts (run_id, iteration, instruction_id, unjudged, reason, runs)
        SELECT i.run_id, CAST(:iteration AS bigint), i.id, true, '{NO_TEACHER_ANSWER}', '[]'
        FROM instructions i
        WHERE i.run_id = :run_id AND i.born_in <= :iteration AND NOT EXISTS (SELECT FROM bindings b
            WHERE b.run_id = i.run_id AND b.instruction_id = i.id AND b.role = 'teacher')
        ON CONFLICT DO NOTHING
        """,
        run_id=run_id,
        iteration=iteration,
    )


async def forget_verdicts(c: AsyncConnection, run_id: str, iteration: int) -> None:
    """The assessment begins anew: without verdicts, failures and judge. Forget its tasks before."""
    for statement in (
        "DELETE FROM verdicts WHERE run_id = :run_id AND iteration = :iteration",
        "DELETE FROM failures WHERE run_id = :run_id AND iteration = :iteration AND phase = 'assessing'",
        "UPDATE iterations SET judge = NULL WHERE run_id = :run_id AND number = :iteration",
    ):
        await execute(c, statement, run_id=run_id, iteration=iteration)
    await iterations.renew(c, run_id, iteration, "assessing")


async def select(
    c: AsyncConnection,
    run_id: str,
    iteration: int,
    *,
    mode: SelectionMode,
    number: int | None,
    tau: float,
    seed: int,
) -> int:
    """The production form of `selection.choose`: one statement over the iteration's verdicts."""
    balanced = "least(2 * num_difficult, num_judged)"
    limit = balanced if number is None else "CAST(:given AS bigint)"
    chosen = CHOSEN[mode].replace(":number", limit)
    return await execute(
        c,
        f"""
        WITH judged AS (
            SELECT instruction_id, difficulty >= :tau AS is_difficult,
                encode(sha256(convert_to(CAST(:seed AS text) || '|' || instruction_id, 'UTF8')), 'hex')
                    COLLATE "C" AS draw
            FROM verdicts WHERE run_id = :run_id AND iteration = :iteration AND NOT unjudged
        ), ranked AS (
            SELECT instruction_id, is_difficult,
                row_number() OVER (PARTITION BY is_difficult ORDER BY draw) AS place,
                row_number() OVER (ORDER BY draw) AS place_in_all,
                count(*) FILTER (WHERE is_difficult) OVER () AS num_difficult,
                count(*) OVER () AS num_judged
            FROM judged
        ), counted AS (
            SELECT *, least(num_difficult, num_judged - num_difficult, {limit} / 2) AS num_easy FROM ranked
        )
        INSERT INTO selections (run_id, iteration, instruction_id, kind)
        SELECT :run_id, CAST(:iteration AS bigint), instruction_id,
            CASE WHEN is_difficult THEN 'difficult' ELSE 'easy' END
        FROM counted WHERE {chosen}
        ON CONFLICT DO NOTHING
        """,
        run_id=run_id,
        iteration=iteration,
        tau=tau,
        seed=str(seed),
        **({} if number is None else {"given": number}),
    )


async def verdict_counts(c: AsyncConnection, run_id: str, iteration: int) -> JsonObject:
    row = await fetch_one(
        c,
        """
        SELECT count(*) FILTER (WHERE unjudged) AS unjudged, avg(difficulty) AS mean_difficulty
        FROM verdicts WHERE run_id = :run_id AND iteration = :iteration
        """,
        run_id=run_id,
        iteration=iteration,
    )
    return row or {}


async def selection_counts(c: AsyncConnection, run_id: str, iteration: int) -> JsonObject:
    row = await fetch_one(
        c,
        """
        SELECT count(*) FILTER (WHERE kind = 'difficult') AS difficult,
            count(*) FILTER (WHERE kind = 'easy') AS easy
        FROM selections WHERE run_id = :run_id AND iteration = :iteration
        """,
        run_id=run_id,
        iteration=iteration,
    )
    return row or {}


async def candidate_counts(c: AsyncConnection, run_id: str, iteration: int) -> JsonObject:
    """Accepted instructions, parents of which nothing was accepted, and rejected attempts."""
    row = await fetch_one(
        c,
        """
        SELECT count(*) FILTER (WHERE accepted) AS accepted,
            (SELECT count(*) FROM selections s WHERE s.run_id = :run_id AND s.iteration = :iteration)
                - count(*) FILTER (WHERE accepted) AS dropped,
            count(*) FILTER (WHERE NOT accepted) AS rejected
        FROM candidates WHERE run_id = :run_id AND iteration = :iteration
        """,
        run_id=run_id,
        iteration=iteration,
    )
    return row or {}


async def heldout_marks(c: AsyncConnection, run_id: str, iteration: int) -> dict[str, tuple[int, int]]:
    """The held-out questions of each kind and how many were answered right; one that was not asked is wrong."""
    await join_by_hashing(c)
    rows = await fetch(
        c,
        """
        SELECT d.task_type, count(*) AS num, count(*) FILTER (WHERE e.correct) AS num_correct
        FROM runs r JOIN dataset_items d ON d.dataset = r.config->'evaluation'->>'dataset'
        LEFT JOIN evaluation_answers e
            ON e.run_id = r.id AND e.iteration = :iteration AND e.item_id = d.id
        WHERE r.id = :run_id GROUP BY d.task_type
        """,
        run_id=run_id,
        iteration=iteration,
    )
    return {row["task_type"]: (row["num"], row["num_correct"]) for row in rows}
