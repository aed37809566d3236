"""Letters are read from what models say, and from nothing else: a table of answers and what they name."""

import time

import pytest

from services.coordinator.benchmarks.reading_letters import chosen

CHOICES = ["a cup", "a lamp", "a chair"]
A, B, C = 0, 1, 2


@pytest.mark.parametrize(
    "answer", ["B", "b", "(B)", "[B]", "B.", "b)", "B!", "**B**", " `B` ", "$B$", "（Ｂ）", "Ｂ"]
)
def test_a_letter_alone(answer: str) -> None:
    assert chosen(answer, CHOICES) == B


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ("The answer is B.", B),
        ("The answer is A", A),
        ("the answer is b.", B),
        ("The answer is: **(B)**", B),
        ('The answer is "B".', B),
        (r"The answer is \boxed{\text{C}}.", C),
        (r"\boxed{B}", B),
        ("Answer: B", B),
        ("Answer:\n\nB. a lamp", B),
        ("answer=b", B),
        ("My answer is C!", C),
        ("The answer is option C.", C),
        ("The correct option is C because it is red.", C),
        ("The answer is A because it is small.", A),
        ("The answer is B, not A.", B),
        ("The answer is B or rather what it shows.", B),
        ("The answer is (B) a lamp.", B),
        ("The answer is B. The other option is C.", B),
        ("The answer is a lamp.", B),
        ("The answer is a lamp, as it shines.", B),
    ],
)
def test_a_statement(answer: str, named: int) -> None:
    assert chosen(answer, CHOICES) == named


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ("B. a lamp", B),
        ("(B) a lamp", B),
        ("B) a lamp\n\nIt shines.", B),
        ("B: a lamp", B),
        ("B\nIt shines.", B),
        ("C.\n\nA chair is what people sit on.", C),
        ("Option B", B),
        ("A is correct", A),
        ("I would say (C).", C),
    ],
)
def test_a_letter_that_marks_a_choice(answer: str, named: int) -> None:
    assert chosen(answer, CHOICES) == named


@pytest.mark.parametrize("answer", ["a lamp", "A lamp.", "  A   LAMP ", '"a lamp"', "**a lamp**"])
def test_a_choices_whole_text(answer: str) -> None:
    assert chosen(answer, CHOICES) == B


def test_after_reasoning_the_last_statement_counts() -> None:
    reasoning = (
        "A lamp shines, so the answer is B. But it is off. People sit on it (not B).\nThe answer is C."
    )
    assert chosen(reasoning, CHOICES) == C


@pytest.mark.parametrize(
    "answer", ["A cup is on the table", "Answer: A cup is on the table", "A small thing."]
)
def test_an_article_is_no_letter(answer: str) -> None:
    assert chosen(answer, CHOICES[1:]) is None
    assert chosen(answer, CHOICES) is None


def test_an_article_may_begin_a_choices_text() -> None:
    assert chosen("A chair", CHOICES) == C
    assert chosen("The answer is A chair.", CHOICES) == C


@pytest.mark.parametrize(
    "answer",
    [
        "",
        " \n ",
        ".",
        "D",
        "(D)",
        "The answer is F.",
        "A or B",
        "A, B",
        "The answer is A or B.",
        "The answer is B or C because both shine.",
        "The answer is B and C.",
        "(A) is wrong, so (B)",
        "Option A is wrong, option B is right",
        "A. a cup\nB. a lamp\nC. a chair",
        "The answer is not B.",
        "The wrong answer is B.",
        "The answer is",
        "The answer is a lamp on the table",
        "I think it is a lamp",
        "I cannot tell from the picture.",
        "Sorry, I can't help with that.",
        "It shows cup(s)",
    ],
)
def test_what_names_no_single_choice_is_unreadable(answer: str) -> None:
    assert chosen(answer, CHOICES) is None


def test_an_explanation_that_speaks_of_answers_takes_nothing_back() -> None:
    assert chosen("The answer is B. The question this can best answer is: Does it shine?", CHOICES) == B


@pytest.mark.parametrize("second", ["F.", "not B.", "either B or C.", "B or C."])
def test_a_statement_that_contradicts_an_earlier_one_is_not_replaced_by_it(second: str) -> None:
    assert chosen(f"The answer is B. No, the answer is {second}", CHOICES) is None


def test_choices_that_are_letters_themselves() -> None:
    assert chosen("B", ["B", "C", "A"]) == 1
    assert chosen("The answer is B.", ["B", "C", "A"]) == 1
    assert chosen("Z", ["Y", "Z"]) == 1
    assert chosen("The answer is Z.", ["Y", "Z"]) == 1


def test_a_text_that_two_choices_have_names_neither() -> None:
    assert chosen("same", ["same", "same", "other"]) is None
    assert chosen("SAME", ["same", "Same.", "other"]) is None


def test_choices_that_differ_in_case_or_quotes_alone() -> None:
    assert chosen("Dear Ms. Lee,", ["Dear ms. Lee,", "Dear Ms. Lee,"]) == 1
    assert chosen("***The Box***", ['"The Box"', "***The Box***"]) == 1


def test_as_many_letters_as_choices() -> None:
    assert chosen("E", ["1", "2", "3", "4", "5"]) == 4
    assert chosen("E", ["1", "2", "3", "4"]) is None
    assert chosen("2", ["1", "2"]) == 1
    assert chosen("1.5", ["1.5", "15"]) == 0


@pytest.mark.parametrize("part", ["(", "\n", "answer ", "answer is ", " ", "a(", "*", "option "])
def test_a_hostile_answer_takes_no_time(part: str) -> None:
    began = time.process_time()
    chosen(part * 20_000, CHOICES)
    assert time.process_time() - began < 1.0
