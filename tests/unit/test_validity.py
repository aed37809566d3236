"""What cannot be an instruction, whatever its novelty."""

import pytest

from services.augmentor.validity import clean, invalid_reason


@pytest.mark.parametrize(
    ("text", "finish_reason", "reason"),
    [
        ("", "stop", "empty"),
        ("  \n", "stop", "empty"),
        ("What is that?", "stop", "three words or fewer"),
        ("What colour is the large", "length", "cut off at the length limit"),
        ("Kind of task: colour. What is it?", "stop", "prompt marker leaked"),
        ("What is in the <image> here?", "stop", "prompt marker leaked"),
        ("- What is on the desk today?", "stop", "starts with punctuation"),
        ("¿Qué hay en la mesa grande?", "stop", "starts with punctuation"),
        ("那是?", "stop", "three words or fewer"),
        ("What is on the desk?", "stop", None),
        ("图片里有什么动物?", "stop", None),
    ],
)
def test_reasons(text: str, finish_reason: str, reason: str | None) -> None:
    assert invalid_reason(text, finish_reason) == reason


@pytest.mark.parametrize(
    ("reply", "text"), [(' "What is it?"\n', "What is it?"), ("What's up?", "What's up?")]
)
def test_clean_takes_white_space_and_one_pair_of_quotes(reply: str, text: str) -> None:
    assert clean(reply) == text
