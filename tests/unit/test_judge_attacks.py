"""What stands in the judge's prompt when an answer attacks it: the fence holds, and both answers are treated alike."""

import re
from typing import Any

import pytest

from services.assessor import fence
from services.assessor.judge import judge_messages, request_mark
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


INNOCENT_MARK = request_mark(request(GOOD, "A cup."), SECRET)


def shown(text: str) -> str:
    """What a judge gets to see of an answer, worked out without the code under test where that is simple."""
    return plain(text).strip()[: fence.MAX_CHARS]


@pytest.mark.parametrize("by", ["teacher", "student", "both"])
@pytest.mark.parametrize("name", ATTACKS)
def test_the_fence_holds(name: str, by: str) -> None:
    text = attack(name, INNOCENT_MARK)
    answers = {"teacher": (text, GOOD), "student": (GOOD, text), "both": (text, text)}[by]
    asked = request(*answers)
    mark = request_mark(asked, SECRET)
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


@pytest.mark.parametrize("name", ATTACKS)
def test_a_context_stands_behind_the_fence_before_the_question(name: str) -> None:
    """In the place of the picture; what it says cannot pose as the question or an answer either."""
    asked = AssessmentRequest(
        image=None,
        context=attack(name, INNOCENT_MARK),
        instruction="What is it?",
        teacher_answer=GOOD,
        student_answer="x",
        seed=1,
    )
    mark, variable = request_mark(asked, SECRET), variable_text(asked)
    known, question = variable.split(f"\n\n[question {mark}]\n")
    assert known.startswith(f"[context {mark}]\n")
    assert re.search(rf"\n\[end of context {mark}[^\]\n]*\]$", known)
    found = read_fence(f"[question {mark}]\n{question}")
    assert (found["question"], found["answer 1"], found["answer 2"]) == ("What is it?", GOOD, "x")
    assert mark != request_mark(asked.model_copy(update={"context": "other"}), SECRET)


def test_there_are_enough_attacks() -> None:
    assert len(set(ATTACKS.values())) >= 50
