"""A task's work against services that are functions: what is asked, kept, asked again and given up."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from services.coordinator.clients import Answer
from services.coordinator.outgoing import ItemFailed, Unreadable, Waiting
from services.coordinator.repositories.tasks import Claim, TaskKey
from services.coordinator.run_config import RunConfig
from services.coordinator.tasks.assess import assess
from services.coordinator.tasks.augment import augment
from services.coordinator.tasks.evaluate import evaluate
from services.coordinator.tasks.teach import teach
from services.coordinator.tasks.work import Tools, Work
from shared.identity import augmented_instruction_id
from shared.types import Assessment, Augmentation, Candidate, RoleIdentity, Sampling, Usage

IMAGE = "ab" * 32
JUDGE = {"engine": None, "revision": "judge", "prompt_version": "1"}


class Services:
    """Answers by functions; remembers what it was asked."""

    def __init__(
        self, chat: Callable[..., Answer] | None = None, judge: Callable[..., Assessment] | None = None
    ):
        self._chat, self._judge = chat, judge
        self.asked: list[dict[str, Any]] = []
        self.written: Augmentation | None = None

    async def identity(self, role: str, engine: object) -> RoleIdentity:
        return RoleIdentity(
            role="teacher", prompt_version="1", model="m", revision="r", sampling=Sampling(max_tokens=10)
        )

    async def chat(
        self, role: str, model: str, image: str, text: str, sampling: Any, seed: int, *_: Any
    ) -> Answer:
        self.asked.append({"role": role, "model": model, "text": text, "seed": seed, **sampling})
        assert self._chat is not None
        return self._chat(text, sampling)

    async def assess(self, asked: Any, engine: object) -> Assessment:
        self.asked.append(asked.model_dump())
        assert self._judge is not None
        return self._judge()

    async def augment(self, asked: Any, engine: object) -> Augmentation:
        self.asked.append(asked.model_dump())
        if self.written is None:
            raise ItemFailed("refused")
        return self.written


class Kept:
    """What was committed, by table."""

    def __init__(self, known: Mapping[str, Any] | None = None) -> None:
        self.rows: dict[str, list[Any]] = {}
        self.known, self.finished = known or {}, False

    async def commit(self, claim: Claim, rows: Mapping[str, Sequence[Any]], *, finish: bool = False) -> None:
        self.finished |= finish
        for table, found in rows.items():
            self.rows.setdefault(table, []).extend(found)

    async def known_answers(self, hashes: Sequence[str]) -> dict[str, Any]:
        return {name: self.known[name] for name in hashes if name in self.known}


def work(phase: str, *items: dict[str, Any], **config: Any) -> Work:
    claim = Claim(TaskKey("run", 1, phase, IMAGE), 1)
    return Work(claim, RunConfig(**config), {}, "ckpt-1", JUDGE, {}, list(items), ["old?"])


def tools(services: Services, kept: Kept) -> Tools:
    return Tools(services, kept.commit, kept.known_answers)  # type: ignore[arg-type]


def said(text: str, finish_reason: str = "stop") -> Answer:
    return Answer(text, finish_reason, Usage(prompt_tokens=1, completion_tokens=1, calls=1))


QUESTIONS = ({"id": 1, "text": "a?"}, {"id": 2, "text": "b?"})


async def test_teaching_keeps_and_binds_every_answer() -> None:
    services, kept = Services(lambda text, _: said(text.upper())), Kept()
    await teach(work("teaching", *QUESTIONS), tools(services, kept))
    assert {row["text"] for row in kept.rows["answers"]} == {"A?", "B?"}
    assert {row["instruction_id"] for row in kept.rows["bindings"]} == {1, 2}
    assert all(asked["max_tokens"] == 10 and asked["temperature"] == 0.5 for asked in services.asked)


async def test_every_call_is_kept_with_what_it_cost() -> None:
    """Those whose answers were of no use, too; only the first one for an instruction counts as an item."""
    price = {"price": {"prompt": 1.0, "completion": 2.0}}
    kept = Kept()
    await teach(
        work("teaching", QUESTIONS[0], teacher=price), tools(Services(lambda *_: said("x", "length")), kept)
    )
    assert [row["number"] for row in kept.rows["calls"]] == [1, 2]
    assert [row["items"] for row in kept.rows["calls"]] == [1, 0]
    assert [row["cost_nanos"] for row in kept.rows["calls"]] == [3000, 3000]
    assert {(row["role"], row["model_revision"]) for row in kept.rows["calls"]} == {("teacher", "r")}


async def test_what_was_answered_before_is_not_asked_again() -> None:
    first, kept = Services(lambda text, _: said(text)), Kept()
    await teach(work("teaching", *QUESTIONS), tools(first, kept))
    second, again = Services(), Kept({row["request_hash"]: row for row in kept.rows["answers"]})
    await teach(work("teaching", *QUESTIONS), tools(second, again))
    assert second.asked == []
    assert again.rows["calls"] == []
    assert again.rows["answers"] == []
    assert {row["instruction_id"] for row in again.rows["bindings"]} == {1, 2}


async def test_an_answer_cut_off_is_asked_at_double_length() -> None:
    services = Services(
        lambda text, sampling: said("x", "stop" if sampling["max_tokens"] == 20 else "length")
    )
    kept = Kept()
    await teach(work("teaching", QUESTIONS[0]), tools(services, kept))
    assert [asked["max_tokens"] for asked in services.asked] == [10, 20]
    assert services.asked[0]["seed"] != services.asked[1]["seed"]
    assert len(kept.rows["answers"]) == 2
    assert [row["request_hash"] for row in kept.rows["bindings"]] == [kept.rows["answers"][1]["request_hash"]]


async def test_an_answer_that_never_ends_is_a_failure() -> None:
    kept = Kept()
    await teach(work("teaching", QUESTIONS[0]), tools(Services(lambda *_: said("x", "length")), kept))
    assert "bindings" not in kept.rows
    assert kept.rows["failures"][0]["reason"] == (
        "the answer did not end within 20 tokens (finish reason length)"
    )


async def test_a_refused_item_fails_alone() -> None:
    def answer(text: str, _: object) -> Answer:
        if text == "a?":
            raise ItemFailed("no")
        return said("yes")

    kept = Kept()
    await teach(work("teaching", *QUESTIONS), tools(Services(answer), kept))
    assert [row["instruction_id"] for row in kept.rows["failures"]] == [1]
    assert [row["instruction_id"] for row in kept.rows["bindings"]] == [2]


async def test_waiting_is_patient_and_visible() -> None:
    one, notes = work("teaching", QUESTIONS[0]), []

    def answer(*_: object) -> Answer:
        notes.append(one.note)
        if len(notes) < 4:
            raise Waiting("the engine is down", retry_after_s=0.001)
        return said("at last")

    kept = Kept()
    await teach(one, tools(Services(answer), kept))
    assert notes == [None, *["the engine is down"] * 3]
    assert one.note is None
    assert len(kept.rows["bindings"]) == 1


async def test_an_unreadable_reply_is_asked_three_times() -> None:
    def answer(*_: object) -> Answer:
        raise Unreadable("garbage")

    services, kept = Services(answer), Kept()
    await teach(work("teaching", QUESTIONS[0]), tools(services, kept))
    assert len(services.asked) == 3
    assert "no readable reply in 3 tries: garbage" in kept.rows["failures"][0]["reason"]


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


def candidate(parent: int, attempt: int, text: str, reason: str | None = None) -> Candidate:
    return Candidate(parent_id=parent, attempt=attempt, text=text, reason=reason, rouge_l=0.1, nearest="old?")


async def test_augmentation_keeps_every_attempt_and_the_accepted_as_instructions() -> None:
    services, kept = Services(lambda text, _: said(f"about {text}")), Kept()
    services.written = Augmentation(
        accepted=[candidate(1, 2, "new?")],
        rejected=[candidate(1, 1, "old?", "not novel"), candidate(2, 1, "?", "too short")],
        model="m",
        revision="r",
        prompt_version="1",
        usage=Usage(),
    )
    parents = [{**one, "task_type": "colour"} for one in (*QUESTIONS, {"id": 3, "text": "c?"})]
    await augment(work("augmenting", *parents), tools(services, kept))
    assert services.asked[0]["existing"] == ["old?"]
    assert [(row["parent"], row["attempt"], row["accepted"]) for row in kept.rows["candidates"]] == [
        (1, 2, True),
        (1, 1, False),
        (2, 1, False),
    ]
    (born,) = kept.rows["instructions"]
    assert (
        born["id"] == augmented_instruction_id(1, 2, "new?") == kept.rows["candidates"][0]["instruction_id"]
    )
    assert (born["born_in"], born["parent"], born["task_type"], born["dialogue"]) == (2, 1, "colour", None)
    assert [row["instruction_id"] for row in kept.rows["failures"]] == [3]  # of which nothing was said
    assert [row["text"] for row in kept.rows["answers"]] == ["about new?"]
    assert [(row["role"], row["instruction_id"]) for row in kept.rows["bindings"]] == [
        ("teacher", born["id"])
    ]


async def test_what_an_augmentation_left_unanswered_is_answered_and_nothing_else_is_asked() -> None:
    """The worker before died between the new instructions and the teacher's answers."""
    one, services, kept = work("augmenting"), Services(lambda text, _: said("yes")), Kept()
    one.born = [{"id": 7, "text": "new?"}]
    await augment(one, tools(services, kept))
    assert [asked["text"] for asked in services.asked] == ["new?"]
    assert [row["instruction_id"] for row in kept.rows["bindings"]] == [7]
    assert one.only_streams


async def test_a_new_instruction_that_the_teacher_refuses_fails_in_the_teaching_of_its_iteration() -> None:
    def refuse(*_: object) -> Answer:
        raise ItemFailed("no")

    one, kept = work("augmenting"), Kept()
    one.born = [{"id": 7, "text": "new?"}]
    await augment(one, tools(Services(refuse), kept))
    (failure,) = kept.rows["failures"]
    assert (failure["iteration"], failure["phase"], failure["instruction_id"]) == (2, "teaching", 7)


async def test_a_refused_augmentation_fails_for_the_image() -> None:
    kept = Kept()
    await augment(work("augmenting", {**QUESTIONS[0], "task_type": "x"}), tools(Services(), kept))
    assert kept.rows["failures"][0]["instruction_id"] == 0


@pytest.mark.parametrize(("text", "correct"), [("A Dog.", True), ("a cat", False)])
async def test_evaluation_asks_at_temperature_zero(text: str, correct: bool) -> None:
    services, kept = Services(lambda *_: said(text)), Kept()
    item = {"id": 5, "text": "What?", "reference": "a dog"}
    await evaluate(work("evaluating", item, evaluation={"dataset": "x"}), tools(services, kept))
    assert services.asked[0]["temperature"] == 0
    assert kept.rows["evaluation_answers"][0]["correct"] is correct
