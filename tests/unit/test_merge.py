"""Training lines: one an image, turns in (dialogue, turn), then id order, the picture in the first question."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.coordinator.merge import Answered, answered, images, picture_of, training_line
from services.coordinator.phases.training import metadata
from shared.types import JsonObject

SHA = "ab" * 32
ITEMS = [
    Answered(9, None, None, "new?", "born later"),
    Answered(5, "d2", 0, "second dialogue?", "b"),
    Answered(7, "d1", 1, "second turn?", "a1"),
    Answered(8, "d1", 0, "first turn?", "a0"),
    Answered(3, None, None, "new too?", "born later"),
]


def test_turns_stand_in_dialogue_turn_and_id_order() -> None:
    line = training_line(SHA, ITEMS)
    answers = [message["content"] for message in line["messages"] if message["role"] == "assistant"]
    assert answers == ["a0", "a1", "b", "born later", "born later"]
    assert line["messages"][6]["content"] == "new too?"


def test_the_picture_stands_in_the_first_question_only() -> None:
    messages = training_line(SHA, ITEMS)["messages"]
    assert messages[0]["content"] == [
        {"type": "image_url", "image_url": {"url": f"comd-image:{SHA}"}},
        {"type": "text", "text": "first turn?"},
    ]
    assert all(isinstance(message["content"], str) for message in messages[1:])


def test_a_dialogue_without_a_picture_has_none() -> None:
    assert picture_of("text:abc") is None
    assert training_line("text:abc", ITEMS[:1])["messages"][0]["content"] == "new?"


@given(st.permutations(ITEMS))
def test_the_order_of_arrival_does_not_matter(items: list[Answered]) -> None:
    assert training_line(SHA, items) == training_line(SHA, ITEMS)


async def batches(sizes: list[int], rows: list[JsonObject]) -> AsyncIterator[list[JsonObject]]:
    for size in sizes:
        yield rows[:size]
        rows = rows[size:]


@pytest.mark.parametrize("sizes", [[6], [1, 5], [2, 2, 2], [1] * 6, [5, 1]])
async def test_an_image_may_span_batches(sizes: list[int]) -> None:
    rows: list[JsonObject] = [
        {"id": number, "image": image, "dialogue": "d", "turn": number, "text": "q?", "answer": str(number)}
        for number, image in enumerate("aaabbc")
    ]
    whole = [(image, [row["id"] for row in rows]) async for image, rows in images(batches(sizes, rows))]
    assert whole == [("a", [0, 1, 2]), ("b", [3, 4]), ("c", [5])]


def test_what_is_not_answered_is_not_trained_on() -> None:
    row = {"id": 1, "dialogue": None, "turn": None, "text": "q?"}
    assert [one.id for one in answered([{**row, "answer": None}, {**row, "id": 2, "answer": ""}])] == [2]


def test_a_jobs_metadata_fit_openais_bounds() -> None:
    run = {"id": "run-1", "name": "x" * 600}
    told = metadata(run, {"number": 0, "tuning_pool": None, "cache_pool": None}, "captions")
    assert told == {"run": "run-1", "run_name": "x" * 512, "iteration": "0", "dataset": "captions"}
