"""Training lines: what is taken, what is refused and how, splitting, the coin, labels."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.records import IGNORED, Part, Record, image_first, labels, messages, parse_line, split
from shared.errors import Unprocessable

SHA = "a" * 64
IMAGE = {"type": "image_url", "image_url": {"url": f"comd-image:{SHA}"}}
ANSWER = {"role": "assistant", "content": "red"}


def line(*turns: Any, **extra: Any) -> bytes:
    return json.dumps({"messages": turns, **extra}).encode()


def question(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": [*parts, {"type": "text", "text": "what?"}]}


def test_a_sound_line_becomes_a_record() -> None:
    system = {"role": "system", "content": "be brief"}
    record = parse_line(line(system, question(IMAGE), ANSWER, question(), ANSWER, id="7"), 3)
    assert record == Record("7", f"comd-image:{SHA}", "be brief", (("what?", "red"),) * 2, 3)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{", "line 5: not JSON"),
        (b"[]", "line 5, messages: expected an object"),
        (line(question(), ANSWER, colour=1), "line 5, colour: unknown field"),
        (line(question(IMAGE)), "line 5, messages: expected turns"),
        (line(ANSWER, question()), r"line 5, messages\[0\].role: expected user"),
        (line(question(), question()), r"line 5, messages\[1\].role: expected assistant"),
        (line(question(), ANSWER, question(IMAGE), ANSWER), r"line 5, messages\[2\].content: one picture"),
        (line(question(IMAGE, IMAGE), ANSWER), r"line 5, messages\[0\].content: one picture"),
        (line({"role": "user", "content": 3}, ANSWER), r"line 5, messages\[0\].content: expected a text"),
        (line(question(), {"role": "assistant", "content": " "}), r"line 5, messages\[1\].content: is empty"),
        (
            line(question({"type": "image_url", "image_url": {"url": "http://x/y.png"}}), ANSWER),
            r"image_url: expected comd-image: or data:, got 'http://x/y.png'",
        ),
        (line(question({"type": "audio"}), ANSWER), "part of type 'audio' is not taken"),
        (line(question(), ANSWER, id=7), "line 5, id: expected a text"),
    ],
)
def test_a_broken_line_is_refused_by_line_and_field(raw: bytes, said: str) -> None:
    with pytest.raises(Unprocessable, match=said) as caught:
        parse_line(raw, 5)
    assert caught.value.error_code == "invalid_training_file"


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.integers(5, 60))
def test_splitting_loses_nothing_but_turns_that_fit_nowhere(lengths: list[int], limit: int) -> None:
    turns = tuple((f"q{at}", "x" * length) for at, length in enumerate(lengths))
    record = Record("1", None, None, turns, 1)

    def length(part: Part) -> int:
        return 3 + sum(len(answer) for _, answer in part.turns)

    parts, left_out = split(record, length, limit)
    assert all(length(part) <= limit for part in parts)
    assert [part.number for part in parts] == list(range(len(parts)))
    assert [t for part in parts for t in part.turns] == [t for t in turns if 3 + len(t[1]) <= limit]
    assert left_out == sum(3 + len(answer) > limit for _, answer in turns)


def test_the_coin_is_fair_and_depends_on_seed_image_and_part() -> None:
    heads = [
        image_first(seed, f"i{image}", part) for seed in range(10) for image in range(20) for part in (0, 1)
    ]
    assert 160 < sum(heads) < 240
    assert heads == [image_first(s, f"i{i}", p) for s in range(10) for i in range(20) for p in (0, 1)]


def test_the_picture_stands_before_or_after_the_first_question() -> None:
    record = Record("1", "comd-image:x", None, (("a", "b"), ("c", "d")), 1)
    kinds = set()
    for seed in range(20):
        made = messages(Part(record, 0, record.turns), seed)
        kinds.add(tuple(part["type"] for part in made[0]["content"]))
        assert [part["type"] for part in made[2]["content"]] == ["text"]
    assert kinds == {("image", "text"), ("text", "image")}


def test_labels_stand_only_on_answers() -> None:
    assert labels([5, 6, 7, 8], [(1, 2), (3, 4)]) == [IGNORED, 6, IGNORED, 8]
