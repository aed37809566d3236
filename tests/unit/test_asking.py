"""When a run asks about what failed, and what it says."""

import pytest

from services.coordinator.phases.asking import is_to_be_asked, question

REASONS = [{"reason": "no end", "failed": 4}, {"reason": "refused", "failed": 1}]


@pytest.mark.parametrize(
    ("failed", "asked_about", "share", "asks"),
    [
        (2, 0, 0.02, False),  # exactly the share is taken in silence
        (3, 0, 0.02, True),
        (3, 3, 0.02, False),  # somebody said to go on without these
        (4, 3, 0.02, True),
        (0, 0, 0.0, False),
        (1, 0, 0.0, True),
        (100, 0, None, False),
        (100, 0, 1.0, False),
    ],
)
def test_when_it_asks(failed: int, asked_about: int, share: float | None, asks: bool) -> None:
    ended = {"failed": failed, "items": 100, "asked_about": asked_about}
    assert is_to_be_asked(ended, share) == asks


def test_what_it_asks() -> None:
    said = question("desk", 2, "teaching", {"failed": 5, "items": 50, "reasons": REASONS}, 0.02)
    assert said == (
        "iteration 2, teaching: 5 of 50 failed (10.0%, and max_failed_share is 2.0%): 4 x no end; 1 x refused. "
        "Ask them again with `comd run retry desk`, or go on without them with `comd run resume desk`"
    )
