"""Queries behind a run's report: sums of its verdicts, why attempts were rejected, examples worth showing."""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.repositories.rows import fetch
from shared.types import JsonObject

BINNED = ("teacher", "student", "difficulty")


async def verdict_sums(
    c: AsyncConnection, run_id: str, tau: float, iteration: int | None = None
) -> dict[int, JsonObject]:
    """By iteration: how many scores of each role fall to 1, 2 ... 10, and difficulties to 0.0-0.1 ... 0.9-1.0; how
    many instructions are difficult, easy and unjudged, and in how many the student is better than the teacher.
    """
    only = "" if iteration is None else "AND iteration = :iteration"
    rows = await fetch(
        c,
        f"""
        SELECT iteration, unjudged, least(10, floor(teacher_score)) AS teacher,
            least(10, floor(student_score)) AS student, least(10, floor(difficulty * 10) + 1) AS difficulty,
            difficulty >= :tau AS is_difficult, student_score > teacher_score AS is_better, count(*) AS num
        FROM verdicts WHERE run_id = :run_id {only} GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1
        """,
        run_id=run_id,
        tau=tau,
        **({} if iteration is None else {"iteration": iteration}),
    )
    found: dict[int, JsonObject] = {}
    for row in rows:
        sums = found.setdefault(row["iteration"], _no_verdicts())
        if row["unjudged"]:
            sums["unjudged"] += row["num"]
            continue
        for what in BINNED:
            sums[what][int(row[what]) - 1] += row["num"]
        sums["difficult" if row["is_difficult"] else "easy"] += row["num"]
        sums["better"] += row["num"] if row["is_better"] else 0
    return found


def _no_verdicts() -> JsonObject:
    counts = dict.fromkeys(("difficult", "easy", "unjudged", "better"), 0)
    return {**counts, **{what: [0] * 10 for what in BINNED}}


async def rejections(
    c: AsyncConnection, run_id: str, iteration: int | None = None
) -> dict[int, dict[str, int]]:
    """By iteration: how many attempts of the augmentor were turned away, by reason, the commonest first."""
    only = "" if iteration is None else "AND iteration = :iteration"
    rows = await fetch(
        c,
        f"""
        SELECT iteration, coalesce(left(reason, 80), 'no reason given') AS reason, count(*) AS num FROM candidates
        WHERE run_id = :run_id {only} AND NOT accepted GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2
        """,
        run_id=run_id,
        **({} if iteration is None else {"iteration": iteration}),
    )
    found: dict[int, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row["iteration"], {})[row["reason"]] = row["num"]
    return found


async def examples(c: AsyncConnection, run_id: str, number: int) -> list[JsonObject]:
    """Difficult instructions that had a child, those first whose student improved most; one an image."""
    return await fetch(
        c,
        """
        WITH last_verdict AS (
            SELECT DISTINCT ON (instruction_id) instruction_id, iteration, student_score FROM verdicts
            WHERE run_id = :run_id AND NOT unjudged ORDER BY instruction_id, iteration DESC
        ), shown AS (
            SELECT DISTINCT ON (i.image) i.id, i.image, i.text AS instruction, i.task_type AS kind, s.iteration,
                v.teacher_score, v.student_score, v.difficulty, v.runs,
                lv.student_score - v.student_score AS improvement, c.text AS new_question, c.instruction_id AS new_id
            FROM selections s
            JOIN instructions i ON i.run_id = s.run_id AND i.id = s.instruction_id
            JOIN verdicts v ON v.run_id = s.run_id AND v.iteration = s.iteration
                AND v.instruction_id = s.instruction_id
            JOIN candidates c ON c.run_id = s.run_id AND c.iteration = s.iteration
                AND c.parent = s.instruction_id AND c.accepted
            JOIN last_verdict lv ON lv.instruction_id = s.instruction_id
            WHERE s.run_id = :run_id AND s.kind = 'difficult'
            ORDER BY i.image, lv.student_score - v.student_score DESC, i.id
        )
        SELECT shown.*, ta.text AS teacher_answer, before.text AS student_before,
            after.text AS student_after, after.iteration AS after_iteration
        FROM shown
        JOIN bindings tb ON tb.run_id = :run_id AND tb.instruction_id = shown.id AND tb.role = 'teacher'
        JOIN answers ta ON ta.request_hash = tb.request_hash
        LEFT JOIN LATERAL (
            SELECT a.text FROM iterations t JOIN bindings b ON b.run_id = t.run_id AND b.role = 'student'
                AND b.checkpoint = t.checkpoint AND b.instruction_id = shown.id
            JOIN answers a USING (request_hash)
            WHERE t.run_id = :run_id AND t.number = shown.iteration
        ) before ON true
        LEFT JOIN LATERAL (
            SELECT a.text, t.number AS iteration FROM iterations t JOIN bindings b ON b.run_id = t.run_id
                AND b.role = 'student' AND b.checkpoint = t.checkpoint AND b.instruction_id = shown.id
            JOIN answers a USING (request_hash)
            WHERE t.run_id = :run_id AND t.number > shown.iteration ORDER BY t.number DESC LIMIT 1
        ) after ON true
        ORDER BY shown.improvement DESC, shown.difficulty DESC, shown.id LIMIT :number
        """,
        run_id=run_id,
        number=number,
    )
