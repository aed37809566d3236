"""Prompt log-probabilities read from replies, and the choice that they make likeliest; values by hand."""

from typing import Any

import pytest

from services.coordinator.benchmarks.likelihood import (
    Likelihood,
    NoLogprobs,
    PromptToken,
    best,
    choice_score,
    prompt_tokens,
)
from shared.errors import EngineReplyError, Unprocessable


def tokens(*said: tuple[int, float]) -> list[PromptToken]:
    return [PromptToken(*one) for one in said]


QUESTION = tokens((5, -9.0), (6, -9.0))


def test_a_reply_gives_the_tokens_behind_the_first() -> None:
    entries = [
        None,
        {"17": {"logprob": -0.5, "rank": 1, "decoded_token": " a"}},
        {"3": {"logprob": -2, "rank": 9, "decoded_token": "b"}},
    ]
    assert prompt_tokens({"choices": [], "prompt_logprobs": entries}) == tokens((17, -0.5), (3, -2.0))
    assert prompt_tokens({"prompt_logprobs": [None]}) == []


@pytest.mark.parametrize("reply", [{}, {"prompt_logprobs": None}, {"choices": [{"logprobs": None}]}])
def test_a_reply_without_them_says_which_engines_have_them(reply: dict[str, Any]) -> None:
    with pytest.raises(NoLogprobs) as caught:
        prompt_tokens(reply)
    assert caught.value.message == (
        'the engine gives no prompt log-probabilities; vLLM does (kind = "vllm"); use method = "letter"'
    )


@pytest.mark.parametrize(
    "given",
    [
        [None, None],
        [None, {}],
        [None, {"1": {"logprob": -1.0}, "2": {"logprob": -2.0}}],  # which of the two is the prompt's?
        [None, {"one": {"logprob": -1.0}}],
        [None, {"1": {}}],
        [None, {"1": {"logprob": None}}],
        7,
    ],
)
def test_another_form_is_unreadable(given: Any) -> None:
    with pytest.raises(EngineReplyError, match="prompt_logprobs: expected null, then"):
        prompt_tokens({"prompt_logprobs": given})


def test_the_score_is_the_mean_over_the_tokens_behind_the_question() -> None:
    whole = [*QUESTION, *tokens((7, -1.0), (8, -2.0), (9, -4.5))]
    assert choice_score(QUESTION, whole) == Likelihood(2.5, 3)


def test_a_token_joined_across_the_border_counts_to_the_choice() -> None:
    assert choice_score(QUESTION, tokens((5, -9.0), (66, -1.0), (7, -3.0))) == Likelihood(2.0, 2)


def test_a_choice_that_begins_like_the_question_keeps_its_tokens() -> None:
    """The common prefix never reaches into the choice, however it repeats."""
    repeated = tokens((5, -9.0), (5, -9.0))
    assert choice_score(repeated, [*repeated, *tokens((5, -1.0), (5, -2.0))]) == Likelihood(1.5, 2)


@pytest.mark.parametrize("whole", [QUESTION, QUESTION[:1], []])
def test_a_choice_without_tokens_is_an_error(whole: list[PromptToken]) -> None:
    with pytest.raises(Unprocessable, match="adds no token to the 2 of its question"):
        choice_score(QUESTION, whole)


def test_the_lowest_mean_wins_and_ties_go_to_the_first() -> None:
    assert best([2.0, 1.5, 1.5, 9.0]) == 1
