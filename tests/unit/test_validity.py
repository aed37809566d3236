"""What cannot be an instruction, whatever its novelty."""

import pytest

from services.augmentor.validity import invalid_reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("What is that?", "three words or fewer"),
        ("Kind of task: colour. What is it?", "prompt marker leaked"),
        ("What is in the <image> here?", "prompt marker leaked"),
        ("<your question>", "prompt marker leaked"),
        ("- What is on the desk today?", "starts with punctuation"),
        ("¿Qué hay en la mesa grande?", "starts with punctuation"),
        ("那是?", "three words or fewer"),
        ("What is on the desk?", None),
        ("图片里有什么动物?", None),
    ],
)
def test_reasons(text: str, reason: str | None) -> None:
    assert invalid_reason(text) == reason
