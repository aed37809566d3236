"""The strict reader of a judge's reply: what it reads, and all that it refuses."""

import pytest

from services.assessor.verdict import UnreadableVerdict, Verdict, read_verdict

GOOD = '{"evidence": "a red cup", "score_1": 8, "score_2": 6.5}'


@pytest.mark.parametrize("reply", [GOOD, f"\n {GOOD} ", f"```json\n{GOOD}\n```", f"```\n{GOOD}\n```"])
def test_readable(reply: str) -> None:
    assert read_verdict(reply) == Verdict("a red cup", 8.0, 6.5)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "8 6",
        "The first is better.",
        GOOD + " Thank you!",
        GOOD + GOOD,
        "[8, 6]",
        '{"score_1": 8, "score_2": 6}',
        '{"evidence": "", "score_1": 8, "score_2": 6}',
        '{"evidence": "a", "score_1": "8", "score_2": 6}',
        '{"evidence": "a", "score_1": true, "score_2": 6}',
        '{"evidence": "a", "score_1": 0, "score_2": 6}',
        '{"evidence": "a", "score_1": 10.5, "score_2": 6}',
        '{"evidence": "a", "score_1": NaN, "score_2": 6}',
        '{"evidence": "a", "score_1": 1e999, "score_2": 6}',
        '{"evidence": "a", "score_1": null, "score_2": 6}',
        '{"evidence": "a", "score_1": 8, "score_1": 9, "score_2": 6}',
        '{"evidence": "a", "score_1": 8, "score_2": 6, "score_3": 1}',
        '{"evidence": "a", "score_1": 8',
        "[" * 100_000,
    ],
)
def test_unreadable(reply: str) -> None:
    with pytest.raises(UnreadableVerdict):
        read_verdict(reply)
