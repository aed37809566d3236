"""Texts that want to break a page or run in it, and a run that says them wherever a model or a person can.

In: a place. Out: the id of a run whose every text is hostile; `window.ran` is set where one of them ran.
"""

from collections.abc import Iterable

from tests.browser.place import Place

SCRIPTS = (
    "<script>window.ran=1</script><img src=x onerror=window.ran=1><svg onload=window.ran=1>"
    "\"><b onmouseover='window.ran=1' autofocus onfocus='window.ran=1'>{{ 7*7 }}${window.ran=1}</textarea></title>"
    "<a href='javascript:window.ran=1'>x</a><div hx-get='/signout' hx-trigger='load'>hx</div>"
)
BACKWARDS = "\u202e\u2066gnp.exe \u202bmore\u202e "  # never closed
TOWERS = "".join(letter + "\u0335\u0321\u0310\u0359" * 25 for letter in "tower")
SHORT = f"{SCRIPTS} {BACKWARDS} {TOWERS} "
WORD, LINES = "W" * 1_000_000, "a line\n" * 150_000
NAME = f"{SHORT[:60]}{BACKWARDS}{TOWERS[:60]}"
STATEMENTS = (
    "UPDATE runs SET name = %(name)s, reason = %(short)s, status = 'failed' WHERE id = %(run)s",
    """
    UPDATE runs SET engines = jsonb_build_object('teacher', jsonb_build_object(
        'base_url', 'http://127.0.0.1:9/' || %(name)s, 'model', %(short)s::text, 'revision', %(short)s::text))
    WHERE id = %(run)s
    """,
    """
    INSERT INTO event_log (run_id, action, cause, detail)
    SELECT id, 'engines_swapped', %(short)s || %(word)s, jsonb_build_object('engines', engines)
    FROM runs WHERE id = %(run)s
    """,
    "UPDATE instructions SET text = %(short)s || id, task_type = %(short)s WHERE run_id = %(run)s",
    "UPDATE instructions SET text = %(short)s || %(word)s WHERE run_id = %(run)s AND id = %(one)s",
    """
    UPDATE answers a SET text = CASE b.role WHEN 'teacher' THEN %(short)s || %(word)s ELSE %(short)s || %(lines)s END
    FROM bindings b WHERE b.request_hash = a.request_hash AND b.run_id = %(run)s AND b.instruction_id = %(one)s
    """,
    """
    UPDATE verdicts SET model = %(short)s, runs = jsonb_build_array(
        jsonb_build_object('order', %(short)s::text, 'evidence', %(short)s || %(word)s),
        jsonb_build_object('order', 'student_first', 'evidence', %(lines)s::text))
    WHERE run_id = %(run)s
    """,
    """
    INSERT INTO failures
    SELECT %(run)s, 1, 'assessing', image, id, %(short)s || %(word)s, 3 FROM instructions WHERE run_id = %(run)s
    """,
    """
    INSERT INTO event_log (run_id, action, cause, detail)
    VALUES (%(run)s, %(name)s, %(short)s || %(word)s, jsonb_build_object(%(name)s::text, %(short)s || %(word)s))
    """,
)

OF_EVALUATION = (
    "UPDATE runs SET name = %(name)s, reason = %(short)s, status = 'failed' WHERE id = %(run)s",
    """
    UPDATE evaluations
    SET model = model || jsonb_build_object('label', %(name)s::text, 'revision', %(short)s || %(word)s)
    WHERE run_id = %(run)s
    """,
    """
    UPDATE benchmark_items SET name = %(name)s, content = content || jsonb_build_object(
        'question', %(short)s || %(word)s, 'hint', %(short)s || %(lines)s,
        'choices', jsonb_build_array(%(short)s || %(word)s, %(name)s::text))
    WHERE dataset = 'hostile'
    """,
    """
    UPDATE answers a SET text = %(short)s || %(word)s FROM evaluation_results s
    WHERE s.request_hash = a.request_hash AND s.run_id = %(run)s
    """,
    """
    UPDATE evaluation_results SET prediction = 1, correct = false, review = jsonb_build_object('unjudged', true,
        'reason', %(short)s || %(word)s, 'runs', jsonb_build_array(
            jsonb_build_object('order', %(short)s::text, 'evidence', %(short)s || %(word)s)))
    WHERE run_id = %(run)s AND item_id > 3
    """,
)


def hostile_evaluation(place: Place) -> str:
    """Its benchmark's questions, and all that its model and its judge say."""
    if "hostile evaluation" not in place.made:
        evaluation_id = place.evaluate(place.benchmark("hostile"))
        place.wait(evaluation_id, lambda run: run["status"] == "finished")
        _say(place, OF_EVALUATION, run=evaluation_id)
        place.made["hostile evaluation"] = evaluation_id
    return place.made["hostile evaluation"]


def hostile_run(place: Place) -> tuple[str, str]:
    """The run, and its instruction whose texts are longest."""
    is_new = "hostile" not in place.made
    run_id = place.finished("hostile")
    one = place.get(f"/v1/runs/{run_id}/pools/tuning?iteration=1&limit=1")["data"][0]["id"]
    if is_new:
        _say(place, STATEMENTS, run=run_id, one=int(one))
    return run_id, one


def _say(place: Place, statements: Iterable[str], **about: object) -> None:
    told = {**about, "name": NAME, "short": SHORT, "word": WORD, "lines": LINES}
    for statement in statements:
        used = {name: value for name, value in told.items() if f"%({name})s" in statement}
        place.change(statement, **used)
