"""What stands in the judge's prompt when an answer attacks it: the fence holds, and both answers are treated alike."""

import re
from typing import Any

import pytest

from services.assessor import fence
from services.assessor.judge import judge_messages
from shared.plain_text import LINE_BREAKS, UNSEEN, plain
from shared.types import AssessmentRequest, Order
from tests.attacks import ATTACKS, attack
from tests.doubles.echo_judge import GOOD, read_fence

SECRET = b"s" * 32
CONTROL_TOKENS = re.compile(r"<[|｜]|</?\w[\w.:-]*/?>|\[/?[A-Z_]{2,}\]|\b(?:USER|ASSISTANT|SYSTEM):")


def request(teacher: str, student: str) -> AssessmentRequest:
    asked = {"image": None, "instruction": "What is it?", "seed": 1}
    return AssessmentRequest(teacher_answer=teacher, student_answer=student, **asked)  # type: ignore[arg-type]


def variable_text(asked: AssessmentRequest, order: Order = "teacher_first") -> str:
    parts: list[dict[str, Any]] = judge_messages(asked, SECRET, order, "json")[1]["content"]
    return str(parts[-1]["text"])


INNOCENT_MARK = fence.mark(SECRET, request(GOOD, "A cup.").model_dump())


def shown(text: str) -> str:
    """What a judge gets to see of an answer, worked out without the code under test where that is simple."""
    return plain(text).strip()[: fence.MAX_CHARS]


@pytest.mark.parametrize("by", ["teacher", "student", "both"])
@pytest.mark.parametrize("name", ATTACKS)
def test_the_fence_holds(name: str, by: str) -> None:
    text = attack(name, INNOCENT_MARK)
    answers = {"teacher": (text, GOOD), "student": (GOOD, text), "both": (text, text)}[by]
    asked = request(*answers)
    mark = fence.mark(SECRET, asked.model_dump())
    for order, placed in (("teacher_first", answers), ("student_first", answers[::-1])):
        variable = variable_text(asked, order)  # type: ignore[arg-type]
        assert variable.count(mark) == 6
        for place in (1, 2):
            assert variable.count(f"\n[end of answer {place} {mark}") == 1
        found = read_fence(variable)
        if name == "100 KB of accents":  # the cut spares the letter's accents as far as it reasonably can
            assert all(shown(answer).startswith(found[f"answer {n}"]) for n, answer in enumerate(placed, 1))
        else:
            assert (found["answer 1"], found["answer 2"]) == (shown(placed[0]), shown(placed[1]))


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_unseen_and_no_control_token_reaches_the_judge(name: str) -> None:
    variable = variable_text(request(GOOD, attack(name, INNOCENT_MARK)))
    assert not UNSEEN.search(variable)
    assert not LINE_BREAKS.search(variable)
    assert not CONTROL_TOKENS.search(variable)


def test_there_are_enough_attacks() -> None:
    assert len(set(ATTACKS.values())) >= 50
