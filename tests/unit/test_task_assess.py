"""An assessment's tasks: what the judge is asked, what is kept, what is unjudged."""

import asyncio
from collections.abc import Callable
from typing import Any

from services.coordinator.clients import Answer
from services.coordinator.outgoing import ItemFailed
from services.coordinator.tasks.assess import assess
from shared.types import Assessment, Usage
from tests.doubles.task_tools import Kept, Services, said, tools, work


def judged(**values: Any) -> Assessment:
    by = {"model": "m", "revision": "judge", "prompt_version": "1", "usage": Usage(), "runs": []}
    return Assessment(**{**by, **values})


ITEM = {"id": 1, "text": "a?", "teacher_answer": "t", "student_answer": None, "by_answer": None}


async def test_the_students_answer_goes_to_the_judge() -> None:
    services = Services(
        lambda *_: said("s", "length"), lambda: judged(teacher_score=9, student_score=3, difficulty=7 / 9)
    )
    kept = Kept()
    await assess(work("assessing", ITEM), tools(services, kept))
    assert services.asked[0]["model"] == "ckpt-1"
    assert (services.asked[1]["teacher_answer"], services.asked[1]["student_answer"]) == ("t", "s")
    assert kept.rows["bindings"][0]["checkpoint"] == "ckpt-1"
    assert kept.rows["verdicts"][0]["difficulty"] == 7 / 9


async def test_a_kept_student_answer_is_not_asked_again() -> None:
    services, kept = Services(None, lambda: judged(unjudged=True, reason="unreadable")), Kept()
    await assess(work("assessing", {**ITEM, "student_answer": "s"}), tools(services, kept))
    assert kept.rows["verdicts"][0]["unjudged"]
    assert kept.rows["verdicts"][0]["reason"] == "unreadable"


async def test_an_answer_that_was_judged_before_is_not_judged_again() -> None:
    earlier = {**judged(teacher_score=9, student_score=3, difficulty=7 / 9).model_dump(), "iteration": 1}
    services, kept = Services(lambda *_: said("same")), Kept()
    await assess(work("assessing", {**ITEM, "by_answer": {"same": earlier}}), tools(services, kept))
    assert [asked.get("role") for asked in services.asked] == ["student"]
    assert (kept.rows["verdicts"][0]["difficulty"], kept.rows["verdicts"][0]["revision"]) == (7 / 9, "judge")


async def test_a_refusal_is_unjudged_and_never_a_score() -> None:
    def refuse() -> Assessment:
        raise ItemFailed("too long")

    kept = Kept()
    await assess(work("assessing", ITEM), tools(Services(lambda *_: said("s"), refuse), kept))
    verdict = kept.rows["verdicts"][0]
    assert (verdict["unjudged"], verdict["reason"], verdict["difficulty"]) == (True, "too long", None)
    (failure,) = kept.rows["failures"]
    assert (failure["phase"], failure["instruction_id"], failure["reason"]) == ("assessing", 1, "too long")


async def until(found: Callable[[], object]) -> None:
    while not found():
        await asyncio.sleep(0)


async def test_a_shut_task_ends_its_call_keeps_the_answer_and_begins_no_other() -> None:
    one, kept = work("assessing", ITEM, {**ITEM, "id": 2, "text": "b?"}), Kept()
    answers = {"a?": asyncio.Event(), "b?": asyncio.Event()}

    class Slow(Services):
        async def chat(self, *asked: Any) -> Answer:
            self.asked.append(asked[3])
            await answers[asked[3]].wait()
            return said("s")

    services = Slow(None, lambda: judged(teacher_score=9, student_score=3, difficulty=7 / 9))
    doing = asyncio.create_task(assess(one, tools(services, kept)))
    await until(lambda: len(services.asked) == 2)
    one.valve.set(is_open=False)
    answers["a?"].set()
    await until(lambda: kept.rows.get("bindings"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert (len(services.asked), one.valve.is_busy, one.valve.is_quiet) == (2, True, False)
    answers["b?"].set()
    await until(lambda: one.valve.is_quiet)
    assert len(kept.rows["bindings"]) == 2
    assert "verdicts" not in kept.rows
    one.valve.set(is_open=True)  # resumed before it was given back
    await doing
    assert len(kept.rows["verdicts"]) == 2


async def test_another_judge_is_waited_out() -> None:
    one = work("assessing", {**ITEM, "student_answer": "s"})
    services = Services(None, lambda: judged(revision="other", unjudged=True))
    asking = asyncio.create_task(assess(one, tools(services, kept := Kept())))
    while one.note is None:
        await asyncio.sleep(0)
    asking.cancel()
    assert "the assessment has the judge judge (1), but other (1) answers" in one.note
    assert kept.rows == {}
