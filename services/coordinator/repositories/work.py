"""Queries that say what a phase still lacks, how far it is, and what a task needs to do its share.

All take `run_id` and `iteration`; the assessment also the student's `checkpoint`.
"""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.repositories.rows import fetch, fetch_one, join_by_hashing
from shared.types import JsonObject

TEACHER_ANSWER = """
    LEFT JOIN bindings tb ON tb.run_id = i.run_id AND tb.instruction_id = i.id
        AND tb.role = 'teacher' AND tb.checkpoint = ''
"""
# two equalities, which can be hashed: `IN (0, i.id)` is probed row by row
UNFAILED = " AND ".join(
    f"""
    NOT EXISTS (SELECT FROM failures f WHERE f.run_id = i.run_id AND f.iteration = :iteration
        AND f.phase = '{{phase}}' AND f.image = i.image AND f.instruction_id = {failed})
    """
    for failed in ("0", "i.id")
)
TEACHING = f"""
    FROM instructions i {TEACHER_ANSWER}
    WHERE i.run_id = :run_id AND i.born_in = :iteration AND tb.run_id IS NULL
        AND {UNFAILED.format(phase="teaching")}
"""
ASSESSING = f"""
    FROM instructions i {TEACHER_ANSWER}
    LEFT JOIN verdicts v ON v.run_id = i.run_id AND v.iteration = :iteration AND v.instruction_id = i.id
    WHERE i.run_id = :run_id AND i.born_in <= :iteration AND v.run_id IS NULL
        AND {UNFAILED.format(phase="assessing")}
"""
AUGMENTING = f"""
    FROM selections s JOIN instructions i ON i.run_id = s.run_id AND i.id = s.instruction_id
    WHERE s.run_id = :run_id AND s.iteration = :iteration
        AND NOT EXISTS (SELECT FROM candidates c WHERE c.run_id = s.run_id AND c.iteration = s.iteration
            AND c.parent = s.instruction_id)
        AND {UNFAILED.format(phase="augmenting")}
"""
EVALUATING = f"""
    FROM (SELECT r.id AS run_id, d.* FROM runs r
        JOIN dataset_items d
        ON d.dataset = r.config->'evaluation'->>'dataset' WHERE r.id = :run_id) i
    LEFT JOIN evaluation_answers e ON e.run_id = :run_id AND e.iteration = :iteration AND e.item_id = i.id
    WHERE e.run_id IS NULL AND {UNFAILED.format(phase="evaluating")}
"""
MEASURING = f"""
    FROM (SELECT r.id AS run_id, b.id, b.image, b.name, b.content FROM runs r
        JOIN benchmark_items b ON b.dataset = r.dataset WHERE r.id = :run_id) i
    LEFT JOIN evaluation_results e ON e.run_id = :run_id AND e.item_id = i.id
    WHERE e.run_id IS NULL AND {UNFAILED.format(phase="measuring")}
"""
OPEN = {
    "teaching": TEACHING,
    "assessing": ASSESSING,
    "augmenting": AUGMENTING,
    "evaluating": EVALUATING,
    "measuring": MEASURING,
}
LACKING = {phase: f"SELECT i.image {rest}" for phase, rest in OPEN.items()}
# an augmentation is done with its new instructions' answers
BORN = TEACHING.replace(":iteration", "CAST(:iteration AS bigint) + 1")
LACKING["augmenting"] += f" UNION ALL SELECT i.image {BORN}"
NUM_LACKING = {phase: f"SELECT count(*) AS num {rest}" for phase, rest in OPEN.items()}
TOTAL = {
    "teaching": "SELECT tuning_pool AS num FROM iterations WHERE run_id = :run_id AND number = :iteration",
    "assessing": "SELECT cache_pool AS num FROM iterations WHERE run_id = :run_id AND number = :iteration",
    "augmenting": "SELECT count(*) AS num FROM selections WHERE run_id = :run_id AND iteration = :iteration",
    "evaluating": """
        SELECT count(*) AS num FROM dataset_items d JOIN runs r
        ON d.dataset = r.config->'evaluation'->>'dataset' WHERE r.id = :run_id AND CAST(:iteration AS bigint) >= 0
    """,
    "measuring": """
        SELECT d.num_instructions AS num FROM runs r JOIN datasets d ON d.name = r.dataset
        WHERE r.id = :run_id AND CAST(:iteration AS bigint) = 0
    """,
}
INPUT = {
    "teaching": f"SELECT i.image, i.id, i.text {TEACHING} AND i.image = ANY(:images) ORDER BY i.id",
    "augmenting": f"SELECT i.image, i.id, i.text, i.task_type {AUGMENTING} AND i.image = ANY(:images) ORDER BY i.id",
    "evaluating": f"""
        SELECT i.image, i.id, i.text, i.reference, i.task_type {EVALUATING} AND i.image = ANY(:images) ORDER BY i.id
    """,
    "measuring": f"SELECT i.image, i.id, i.name, i.content {MEASURING} AND i.image = ANY(:images) ORDER BY i.id",
}
ASSESSING_INPUT = f"""
    SELECT i.image, i.id, i.text, ta.text AS teacher_answer, sa.text AS student_answer, earlier.by_answer
    {
    ASSESSING.replace(
        "WHERE",
        '''
    JOIN answers ta ON ta.request_hash = tb.request_hash
    LEFT JOIN bindings sb ON sb.run_id = i.run_id AND sb.instruction_id = i.id
        AND sb.role = 'student' AND sb.checkpoint = :checkpoint
    LEFT JOIN answers sa ON sa.request_hash = sb.request_hash
    LEFT JOIN LATERAL (
        SELECT jsonb_object_agg(ea.text, to_jsonb(ev)) AS by_answer
        FROM iterations et
        JOIN verdicts ev ON ev.run_id = et.run_id AND ev.iteration = et.number AND ev.instruction_id = i.id
        JOIN bindings eb ON eb.run_id = et.run_id AND eb.instruction_id = i.id AND eb.role = 'student'
            AND eb.checkpoint = et.checkpoint
        JOIN answers ea ON ea.request_hash = eb.request_hash
        WHERE et.run_id = :run_id AND et.number < :iteration AND NOT ev.unjudged
            AND ev.revision = :judge_revision AND ev.prompt_version = :judge_prompt
    ) earlier ON true
    WHERE''',
        1,
    )
} AND i.image = ANY(:images) ORDER BY i.id
"""


async def progress(c: AsyncConnection, run_id: str, iteration: int, phase: str) -> tuple[int, int]:
    """Done and total of a phase, in instructions (parents, held-out questions)."""
    await join_by_hashing(c)
    lacking = await fetch_one(c, NUM_LACKING[phase], run_id=run_id, iteration=iteration)
    total = await fetch_one(c, TOTAL[phase], run_id=run_id, iteration=iteration)
    num_total = int((total or {}).get("num") or 0)
    return num_total - int((lacking or {}).get("num") or 0), num_total


async def num_students_lacking(c: AsyncConnection, run_id: str, iteration: int, checkpoint: str) -> int:
    """How many instructions of the cache pool the student is still to answer for a verdict."""
    await join_by_hashing(c)
    row = await fetch_one(
        c,
        f"""
        SELECT count(*) AS num {ASSESSING} AND NOT EXISTS (SELECT FROM bindings sb WHERE sb.run_id = i.run_id
            AND sb.instruction_id = i.id AND sb.role = 'student' AND sb.checkpoint = :checkpoint)
        """,
        run_id=run_id,
        iteration=iteration,
        checkpoint=checkpoint,
    )
    return int((row or {})["num"])


async def inputs(
    c: AsyncConnection, run_id: str, iteration: int, phase: str, images: Sequence[str]
) -> list[JsonObject]:
    """What the tasks of these images have to do, in id order."""
    return await fetch(c, INPUT[phase], run_id=run_id, iteration=iteration, images=list(images))


async def assessing_inputs(
    c: AsyncConnection,
    run_id: str,
    iteration: int,
    images: Sequence[str],
    *,
    checkpoint: str,
    judge: JsonObject,
) -> list[JsonObject]:
    """The same of an assessment, with what the same judge said of the same answers before (`by_answer`)."""
    return await fetch(
        c,
        ASSESSING_INPUT,
        run_id=run_id,
        iteration=iteration,
        images=list(images),
        checkpoint=checkpoint,
        judge_revision=judge["revision"],
        judge_prompt=judge["prompt_version"],
    )


async def existing_texts(
    c: AsyncConnection, run_id: str, iteration: int, images: Sequence[str]
) -> list[JsonObject]:
    """Every text that the images have in the cache pool, in id order."""
    return await fetch(
        c,
        """
        SELECT image, text FROM instructions
        WHERE run_id = :run_id AND born_in <= :iteration + 1 AND image = ANY(:images) ORDER BY id
        """,
        run_id=run_id,
        iteration=iteration,
        images=list(images),
    )


async def statuses(c: AsyncConnection, run_ids: Sequence[str]) -> dict[str, str]:
    """The status of each run."""
    rows = await fetch(c, "SELECT id, status FROM runs WHERE id = ANY(:ids)", ids=list(run_ids))
    return {row["id"]: row["status"] for row in rows}


async def known_answers(c: AsyncConnection, hashes: Sequence[str]) -> dict[str, JsonObject]:
    """Answers that somebody got already, by the hash of their request."""
    rows = await fetch(
        c,
        "SELECT request_hash, text, finish_reason FROM answers WHERE request_hash = ANY(:hashes)",
        hashes=list(hashes),
    )
    return {row["request_hash"]: row for row in rows}
