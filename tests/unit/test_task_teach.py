"""Teaching, and the student's held-out answers: what is asked, kept, asked again and given up."""

import pytest

from services.coordinator.clients import Answer
from services.coordinator.outgoing import ItemFailed, Unreadable, Waiting
from services.coordinator.tasks.evaluate import evaluate
from services.coordinator.tasks.teach import teach
from tests.doubles.task_tools import QUESTIONS, Kept, Services, said, tools, work


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


@pytest.mark.parametrize(("text", "correct"), [("A Dog.", True), ("a cat", False)])
async def test_evaluation_asks_at_temperature_zero(text: str, correct: bool) -> None:
    services, kept = Services(lambda *_: said(text)), Kept()
    item = {"id": 5, "text": "What?", "reference": "a dog"}
    await evaluate(work("evaluating", item, evaluation={"dataset": "x"}), tools(services, kept))
    assert services.asked[0]["temperature"] == 0
    assert kept.rows["evaluation_answers"][0]["correct"] is correct
