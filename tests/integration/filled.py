"""A run of any size, filled by SQL: pools that grow as the paper's do, answered and judged up to its iteration.

In: a number of instructions. Out: rows in every table that phases read. Ids and images are hashes, as in earnest.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.repositories.rows import execute
from tests.integration.builders import RUN, make_run

ITERATION = 4
BORN = "CASE WHEN n % 100 < 44 THEN 1 WHEN n % 100 < 61 THEN 2 WHEN n % 100 < 79 THEN 3 ELSE 4 END"
INSTRUCTIONS_AN_IMAGE = 6
JUDGE = '{"revision": "j", "prompt_version": "1", "engine": null}'
STATEMENTS = (
    """
    INSERT INTO dataset_items (dataset, id, image, text, task_type, dialogue, turn, reference, asked)
    SELECT 'set', hashtextextended('instruction ' || n, 0) & 9223372036854775807,
        encode(sha256(convert_to('image ' || n % :num_images, 'UTF8')), 'hex'),
        'what stands in place ' || n || ' of this picture?', 'conversation', 'dialogue ' || n, n / :num_images,
        'a thing', md5('asked ' || n)
    FROM generate_series(0, :num - 1) n
    """,
    f"""
    INSERT INTO instructions (run_id, id, image, text, task_type, origin, parent, born_in, dialogue, turn)
    SELECT :run_id, hashtextextended('instruction ' || n, 0) & 9223372036854775807,
        encode(sha256(convert_to('image ' || n % :num_images, 'UTF8')), 'hex'),
        'what stands in place ' || n || ' of this picture?', 'conversation',
        CASE WHEN {BORN} = 1 THEN 'seed' ELSE 'augmented' END,
        CASE WHEN {BORN} > 1 THEN hashtextextended('instruction ' || n - 50, 0) & 9223372036854775807 END,
        {BORN}, CASE WHEN {BORN} = 1 THEN 'dialogue ' || n END, CASE WHEN {BORN} = 1 THEN 0 END
    FROM generate_series(0, :num - 1) n
    """,
    """
    INSERT INTO iterations (run_id, number, phase, tuning_pool, cache_pool, checkpoint, judge, seconds)
    SELECT :run_id, n, 'assessing', count(*) FILTER (WHERE born_in = n), count(*) FILTER (WHERE born_in <= n),
        'student-' || n, CAST(:judge AS jsonb), '{}'
    FROM generate_series(1, 4) n, instructions WHERE run_id = :run_id GROUP BY n
    ON CONFLICT (run_id, number) DO UPDATE SET tuning_pool = excluded.tuning_pool,
        cache_pool = excluded.cache_pool, checkpoint = excluded.checkpoint, judge = excluded.judge
    """,
    """
    INSERT INTO answers (request_hash, role, model_revision, prompt_version, text, finish_reason, prompt_tokens,
        completion_tokens)
    SELECT encode(sha256(convert_to('teacher' || id, 'UTF8')), 'hex'), 'teacher', 'm', '1',
        repeat('the teacher says a sentence. ', 8), 'stop', 700, 80
    FROM instructions WHERE run_id = :run_id AND born_in <= :answered
    """,
    """
    INSERT INTO bindings (run_id, instruction_id, role, checkpoint, request_hash)
    SELECT :run_id, id, 'teacher', '', encode(sha256(convert_to('teacher' || id, 'UTF8')), 'hex')
    FROM instructions WHERE run_id = :run_id AND born_in <= :answered
    """,
    """
    INSERT INTO answers (request_hash, role, model_revision, prompt_version, text, finish_reason, prompt_tokens,
        completion_tokens)
    SELECT encode(sha256(convert_to(number || 'student' || id, 'UTF8')), 'hex'), 'student', 'student-' || number,
        '1', repeat('the student says a sentence. ', 6), 'stop', 700, 60
    FROM instructions i JOIN iterations t ON t.run_id = i.run_id AND i.born_in <= t.number AND t.number <= :judged
    WHERE i.run_id = :run_id
    """,
    """
    INSERT INTO bindings (run_id, instruction_id, role, checkpoint, request_hash)
    SELECT :run_id, id, 'student', 'student-' || number,
        encode(sha256(convert_to(number || 'student' || id, 'UTF8')), 'hex')
    FROM instructions i JOIN iterations t ON t.run_id = i.run_id AND i.born_in <= t.number AND t.number <= :judged
    WHERE i.run_id = :run_id
    """,
    """
    INSERT INTO verdicts (run_id, iteration, instruction_id, unjudged, teacher_score, student_score, difficulty,
        runs, model, revision, prompt_version)
    SELECT :run_id, number, id, false, 8, 6, 0.1 + 0.9 * (id % 1000) / 1000,
        CAST('[{"order": "teacher_first", "evidence": "' || repeat('a reason. ', 20) || '"}]' AS jsonb), 'm', 'j', '1'
    FROM instructions i JOIN iterations t ON t.run_id = i.run_id AND i.born_in <= t.number AND t.number <= :judged
    WHERE i.run_id = :run_id
    """,
    """
    INSERT INTO selections (run_id, iteration, instruction_id, kind)
    SELECT :run_id, v.iteration, instruction_id, CASE WHEN difficulty > 0.9 THEN 'difficult' ELSE 'easy' END
    FROM verdicts v WHERE v.run_id = :run_id AND (difficulty > 0.9 OR difficulty < 0.19)
    """,
    """
    INSERT INTO calls (run_id, iteration, phase, image, attempt, number, role, model_revision, items, calls,
        prompt_tokens, cached_tokens, completion_tokens, seconds, cost_nanos)
    SELECT run_id, born_in, 'teaching', image, 1, row_number() OVER (PARTITION BY image), 'teacher', 'm', 1, 1, 700,
        0, 80, 1, 0
    FROM instructions WHERE run_id = :run_id AND born_in <= :answered
    """,
)


async def fill(
    c: AsyncConnection, num: int, *, answered: int = ITERATION, judged: int = ITERATION - 1, **config: object
) -> None:
    """A run in the last iteration's assessment: its teacher answers are there, its verdicts are not.

    `answered` and `judged` are the last iterations whose teacher answers, and verdicts, are there.
    """
    await make_run(c, phase="assessing", number=ITERATION, **config)
    values = {
        "num": num,
        "num_images": max(1, num // INSTRUCTIONS_AN_IMAGE),
        "run_id": RUN,
        "answered": answered,
        "judged": judged,
        "judge": JUDGE,
    }
    for statement in STATEMENTS:
        used = {name: value for name, value in values.items() if f":{name}" in statement}
        await execute(c, statement, **used)
