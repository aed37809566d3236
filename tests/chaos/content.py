"""What must be equal whatever happened: every table of results, each as its number of rows and a hash of them."""

from collections.abc import Mapping

import psycopg

CONTENT = {
    "instructions": "SELECT id, image, text, task_type, origin, parent, born_in, dialogue, turn FROM instructions",
    "answers": """
        SELECT b.instruction_id, b.role, b.checkpoint, a.* FROM bindings b
        JOIN (SELECT request_hash, role, model_revision, prompt_version, text, finish_reason FROM answers) a
            USING (request_hash)
    """,
    "verdicts": "SELECT to_jsonb(verdicts) - 'run_id' FROM verdicts",
    "selections": "SELECT iteration, instruction_id, kind FROM selections",
    "candidates": "SELECT to_jsonb(candidates) - 'run_id' FROM candidates",
    "evaluations": "SELECT iteration, item_id, request_hash, correct FROM evaluation_answers",
    "failures": "SELECT iteration, phase, image, instruction_id, reason FROM failures",
    "counts": """
        SELECT number, phase, tuning_pool, cache_pool, checkpoint, difficult, easy, unjudged, accepted, dropped,
            rejected, heldout_accuracy
        FROM iterations
    """,
}

Digests = Mapping[str, tuple[int, str]]


def digests(database_url: str) -> Digests:
    """Number of rows and a hash of them, by what they are."""
    with psycopg.connect(database_url) as connection:
        found = {}
        for name, query in CONTENT.items():
            rows = f'SELECT row_to_json(r)::text COLLATE "C" AS one FROM ({query}) r'
            hashed = (
                f"SELECT count(*), md5(coalesce(string_agg(one, E'\\n' ORDER BY one), '')) FROM ({rows}) s"
            )
            found[name] = connection.execute(hashed).fetchone()  # type: ignore[arg-type]
        return found  # type: ignore[return-value]


def unequal(ours: Digests, theirs: Digests) -> list[str]:
    """What differs, with the numbers of rows."""
    return [
        f"{name}: {ours[name][0]} rows, not as the {theirs[name][0]} expected"
        for name in CONTENT
        if ours[name] != theirs[name]
    ]


def check_usage(database_url: str) -> None:
    """The sums are those of the calls, and every result that was kept has its call."""
    summed = ", ".join(f"sum({name})" for name in ("calls", "prompt_tokens", "completion_tokens", "items"))
    with psycopg.connect(database_url) as connection:
        calls, totals = (
            connection.execute(f"SELECT role, {summed} FROM {table} GROUP BY role ORDER BY role").fetchall()  # type: ignore[call-overload]
            for table in ("calls", "usage_totals")
        )
        results = dict(connection.execute("SELECT role, count(*) FROM answers GROUP BY role").fetchall())
        judged = "SELECT 'assessor', count(*) FROM verdicts WHERE model IS NOT NULL"
        verdicts = connection.execute(judged).fetchall()
    assert calls == totals, "the usage sums differ from the calls"
    items = {role: items for role, *_, items in calls}
    assert all(items[role] >= num for role, num in {**results, **dict(verdicts)}.items()), (
        "a result has no call"
    )
