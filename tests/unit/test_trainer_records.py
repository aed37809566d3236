"""Training lines: what is taken, what is refused and how, splitting, the coin, labels."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.chat import Record, Turn, parse_line
from services.trainer.records import IGNORED, Part, image_first, labels, messages, split
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
    assert record == Record("7", f"comd-image:{SHA}", "be brief", (Turn("what?", "red"),) * 2, 3)


def test_a_line_with_every_field_that_is_taken() -> None:
    shown = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}
    quiet = {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    record = parse_line(line(question(shown), {**quiet, "weight": 0}, question(), {**ANSWER, "weight": 1}), 2)
    assert record.id == "line-2"
    assert record.image == "data:image/png;base64,AA=="
    assert record.turns == (Turn("what?", "a\nb", learned=False), Turn("what?", "red"))


def test_all_faults_of_a_line_are_told() -> None:
    with pytest.raises(Unprocessable) as caught:
        parse_line(line({"role": "user", "content": 3}, {**ANSWER, "name": "x"}, colour=1), 5)
    assert caught.value.message.count("line 5, ") == 3
    assert caught.value.code == "invalid_training_file"


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.integers(5, 60))
def test_splitting_loses_nothing_but_turns_that_fit_nowhere(lengths: list[int], limit: int) -> None:
    turns = tuple(Turn(f"q{at}", "x" * length) for at, length in enumerate(lengths))
    record = Record("1", None, None, turns, 1)

    def length(part: Part) -> int:
        return 3 + sum(len(turn.answer) for turn in part.turns)

    parts, left_out = split(record, length, limit)
    assert all(length(part) <= limit for part in parts)
    assert [part.number for part in parts] == list(range(len(parts)))
    assert [t for part in parts for t in part.turns] == [t for t in turns if 3 + len(t.answer) <= limit]
    assert left_out == sum(3 + len(turn.answer) > limit for turn in turns)


def test_a_part_without_an_answer_to_learn_is_no_part() -> None:
    turns = (Turn("q", "long answer", learned=False), Turn("q", "an answer"), Turn("q", "end", learned=False))
    record = Record("1", None, None, turns, 1)

    def length(part: Part) -> int:
        return sum(len(turn.answer) for turn in part.turns)

    assert [part.turns for part in split(record, length, 12)[0]] == [turns[1:]]
    assert [part.turns for part in split(record, length, 99)[0]] == [turns]


def test_the_coin_is_fair_and_depends_on_seed_image_and_part() -> None:
    heads = [
        image_first(seed, f"i{image}", part) for seed in range(10) for image in range(20) for part in (0, 1)
    ]
    assert 160 < sum(heads) < 240
    assert heads == [image_first(s, f"i{i}", p) for s in range(10) for i in range(20) for p in (0, 1)]


def test_the_picture_stands_before_or_after_the_first_question() -> None:
    record = Record("1", "comd-image:x", None, (Turn("a", "b"), Turn("c", "d")), 1)
    kinds = set()
    for seed in range(20):
        made = messages(Part(record, 0, record.turns), seed)
        kinds.add(tuple(part["type"] for part in made[0]["content"]))
        assert [part["type"] for part in made[2]["content"]] == ["text"]
    assert kinds == {("image", "text"), ("text", "image")}


def test_labels_stand_only_on_answers() -> None:
    assert labels([5, 6, 7, 8], [(1, 2), (3, 4)]) == [IGNORED, 6, IGNORED, 8]
