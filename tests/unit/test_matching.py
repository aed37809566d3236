"""Exact match of held-out answers, and the accuracy that comes of it."""

import pytest

from services.coordinator.matching import accuracy_by_kind, is_match


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("A red circle.", "a red  circle", True),
        ("Red!", "red", True),
        ("top-left", "top left", True),
        ("“Zwei”", "zwei", True),
        ("red", "blue", False),
        ("", "red", False),
        ("red circle", "red", False),
    ],
)
def test_case_punctuation_and_white_space_do_not_count(answer: str, reference: str, same: bool) -> None:
    assert is_match(answer, reference) is same


def test_accuracy_is_the_mean_over_kinds() -> None:
    assert accuracy_by_kind({"colour": (3, 3), "count": (1, 0)}) == (0.5, {"colour": 1.0, "count": 0.0})
    assert accuracy_by_kind({}) == (None, {})
