"""Measuring: what is asked and marked, what is not asked again, and who must not answer in another's place."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from services.coordinator.evaluation_settings import EvaluationSettings
from services.coordinator.measured import Measured, measured_of
from services.coordinator.outgoing import ItemFailed, Waiting
from services.coordinator.tasks.measure import measure, request
from services.coordinator.tasks.work import Tools, Work
from shared.types import JsonObject, RoleIdentity, Sampling
from tests.doubles.task_tools import Kept, work

ENGINE = {"base_url": "http://127.0.0.1:1", "model": "m"}
MODEL: JsonObject = {
    "engine": ENGINE,
    "role": None,
    "checkpoint": None,
    "model": "m",
    "revision": "r",
    "prompt_version": None,
}
CHOICES = ["a cup", "a hat"]
CONTENT: JsonObject = {
    "question": "What is it?",
    "choices": CHOICES,
    "answer": 1,
    "groups": ["NAT"],
    "hint": "",
}
TURNS = 50  # of the event loop: enough for a task to come to where it waits
ITEMS = (
    {"id": 1, "name": "7", "content": CONTENT},
    {"id": 2, "name": "8", "content": CONTENT | {"answer": 0}},
)


class Asked:
    """Who is asked: says one thing to every question, under the revision that he has now."""

    def __init__(self, says: str | ItemFailed, revision: str = "r"):
        self.says, self.revision = says, revision
        self.urls = {"teacher": "http://teacher", "student": "http://trainer"}
        self.bodies: list[JsonObject] = []

    async def identity(self, role: str, engine: object, *, fresh: bool = False) -> RoleIdentity:
        return RoleIdentity(
            role="teacher", prompt_version="p", model="m", revision=self.revision, sampling=Sampling()
        )

    async def complete(
        self, role: str, model: str, body: JsonObject, *_: Any, believed: str | None = None, **__: Any
    ) -> Any:
        if believed is not None and believed != self.revision:
            raise Waiting(f"{self.revision} answers in the place of {believed}", cause="down")
        self.bodies.append(body)
        if isinstance(self.says, ItemFailed):
            raise self.says
        message = {"role": "assistant", "content": self.says}
        return {"choices": [{"message": message, "finish_reason": "stop"}], "usage": {}}, 0.1


def measured(**settings: Any) -> Measured:
    given = {"temperature": 0.5, "max_tokens": 9, **settings}
    row = {"kind": "scienceqa", "model": MODEL, "settings": EvaluationSettings(**given).model_dump()}
    return measured_of({**row, "judge": None})


def task(**settings: Any) -> Work:
    return replace(work("measuring", *ITEMS), measured=measured(**settings))


def tools(asked: Asked, kept: Kept) -> Tools:
    return Tools(asked, kept.commit, kept.known_answers)  # type: ignore[arg-type]


async def test_answers_are_kept_and_marked() -> None:
    asked, kept = Asked("It is a cup. The answer is B."), Kept()
    await measure(task(), tools(asked, kept))
    marks = {row["item_id"]: (row["prediction"], row["correct"]) for row in kept.rows["evaluation_results"]}
    assert marks == {1: (1, True), 2: (1, False)}
    assert {body["max_tokens"] for body in asked.bodies} == {9}
    assert {row["role"] for row in kept.rows["calls"]} == {"tested"}


async def test_an_answer_that_names_no_choice_is_wrong_and_has_no_prediction() -> None:
    kept = Kept()
    await measure(task(), tools(Asked("I would rather not say."), kept))
    assert {(row["prediction"], row["correct"]) for row in kept.rows["evaluation_results"]} == {(None, False)}


async def test_what_was_answered_before_is_not_asked_again() -> None:
    first, kept = Asked("B"), Kept()
    await measure(task(), tools(first, kept))
    second, again = Asked("B"), Kept({row["request_hash"]: row for row in kept.rows["answers"]})
    await measure(task(), tools(second, again))
    assert second.bodies == []
    assert again.rows["evaluation_results"] == kept.rows["evaluation_results"]


async def test_a_question_that_the_engine_refuses_is_a_failure_and_no_mark() -> None:
    kept = Kept()
    await measure(task(), tools(Asked(ItemFailed("too long")), kept))
    assert {row["reason"] for row in kept.rows["failures"]} == {"too long"}
    assert "evaluation_results" not in kept.rows


async def test_nobody_answers_in_the_place_of_the_model_that_is_measured() -> None:
    asked, kept, one = Asked("B", revision="another"), Kept(), task()
    measuring = asyncio.create_task(measure(one, tools(asked, kept)))
    for _ in range(TURNS):
        await asyncio.sleep(0)
    measuring.cancel()
    assert "another answers in the place of r" in (one.note or "")
    assert (asked.bodies, kept.rows) == ([], {})


@pytest.mark.parametrize(
    ("ours", "other"),
    [
        ({}, {"seed": 1}),
        ({}, {"temperature": 0.1}),
        ({}, {"with_images": False}),
        ({}, {"method": "likelihood"}),
    ],
)
def test_another_way_of_asking_has_another_name(ours: dict[str, Any], other: dict[str, Any]) -> None:
    one, two = (request(task(), measured(**given), CONTENT) for given in (ours, other))
    assert one.hash != two.hash
    assert one.hash == request(task(), measured(**ours), CONTENT).hash
