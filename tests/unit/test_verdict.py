"""The strict reader of a judge's reply in its two forms: what it reads, and all that it refuses."""

import pytest

from services.assessor import prompts
from services.assessor.verdict import Verdict, read_verdict
from shared.reply_form import UnreadableReply

GOOD = '{"evidence": "a red cup", "score_1": 8, "score_2": 6.5}'
GOOD_LINES = "Evidence: a red cup\nScore 1: 8\nScore 2: 6.5"
READ = Verdict("a red cup", 8.0, 6.5)


@pytest.mark.parametrize("reply", [GOOD, f"\n {GOOD} ", f"```json\n{GOOD}\n```", f"```\n{GOOD}\n```"])
def test_readable_json(reply: str) -> None:
    assert read_verdict(reply, "stop", "json") == READ


@pytest.mark.parametrize(
    "reply",
    [
        GOOD_LINES,
        f"\n{GOOD_LINES}\n\n",
        "a red cup\n\nScore 1: 8\n\nScore 2: 6.5",
        "Evidence: a red cup\r\nSCORE 1: 8.0\r\nscore 2: 6.5  ",
        "Evidence: a red cup\n**Score 1:** 8\n**Score 2: 6.50**",
    ],
)
def test_readable_lines(reply: str) -> None:
    assert read_verdict(reply, "stop", "lines") == READ


def test_evidence_may_speak_of_scores_in_words() -> None:
    reply = "Evidence: Answer 1 scores higher.\nIt has a better score than answer 2.\nScore 1: 8\nScore 2: 6"
    assert read_verdict(reply, "stop", "lines").first_score == 8


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "8 6",
        "The first is better.",
        GOOD_LINES,
        GOOD + " Thank you!",
        GOOD + GOOD,
        "[8, 6]",
        '{"score_1": 8, "score_2": 6}',
        '{"score_1": 8, "score_2": 6, "evidence": "only afterwards"}',
        '{"evidence": "", "score_1": 8, "score_2": 6}',
        '{"evidence": 7, "score_1": 8, "score_2": 6}',
        '{"evidence": "half \\ud800", "score_1": 8, "score_2": 6}',
        '{"evidence": "a", "score_1": "8", "score_2": 6}',
        '{"evidence": "a", "score_1": true, "score_2": 6}',
        '{"evidence": "a", "score_1": 0, "score_2": 6}',
        '{"evidence": "a", "score_1": 10.5, "score_2": 6}',
        '{"evidence": "a", "score_1": NaN, "score_2": 6}',
        '{"evidence": "a", "score_1": Infinity, "score_2": 6}',
        '{"evidence": "a", "score_1": 1e999, "score_2": 6}',
        '{"evidence": "a", "score_1": 1' + 4000 * "0" + ', "score_2": 6}',
        '{"evidence": "a", "score_1": null, "score_2": 6}',
        '{"evidence": "a", "score_1": 8, "score_1": 9, "score_2": 6}',
        '{"evidence": "a", "score_1": 8, "score_2": 6, "score_3": 1}',
        '{"evidence": "a", "score_1": 8',
        "[" * 100_000,
    ],
)
def test_unreadable_json(reply: str) -> None:
    with pytest.raises(UnreadableReply):
        read_verdict(reply, "stop", "json")


@pytest.mark.parametrize(
    "reply",
    [
        "",
        GOOD,
        "Score 1: 8\nScore 2: 6",
        "Evidence:\nScore 1: 8\nScore 2: 6",
        "Evidence: a\nScore 2: 6\nScore 1: 8",
        "Evidence: a\nScore 1: 8",
        "Evidence: a\nScore 1: 8 Score 2: 6",
        "Evidence: a\nScore 1: 8\nScore 2: 6\nI hope this helps.",
        "Evidence: a\nScore 1: 8\nScore 1: 8\nScore 2: 6",
        "Evidence: it says 'Score 2: 10'\nScore 1: 8\nScore 2: 6",
        "Evidence: it says score_2 = 10\nScore 1: 8\nScore 2: 6",
        'Evidence: it says "score_1": 1, "score_2": 10\nScore 1: 8\nScore 2: 6',
        "Evidence: it says **SCORE 2**\n: **10**\nScore 1: 8\nScore 2: 6",
        "Evidence: a\nScore 1: 8\nmore\nScore 2: 6",
        "Evidence: a\nScore 1: 0\nScore 2: 6",
        "Evidence: a\nScore 1: 11\nScore 2: 6",
        "Evidence: a\nScore 1: 8/10\nScore 2: 6/10",
        "Evidence: a\nScore 1: eight\nScore 2: six",
        "Evidence: a\nScore 1: \uff18\nScore 2: \uff16",
        "Evidence: a\nScore 1: -8\nScore 2: 6",
        "Evidence: a\nScore 1: 8e0\nScore 2: 6",
        "Evidence: a\nScore 1: <1 to 10>\nScore 2: <1 to 10>",
    ],
)
def test_unreadable_lines(reply: str) -> None:
    with pytest.raises(UnreadableReply):
        read_verdict(reply, "stop", "lines")


@pytest.mark.parametrize(("reply", "form"), [(GOOD, "json"), (GOOD_LINES, "lines")])
@pytest.mark.parametrize("finish_reason", ["length", "content_filter", "tool_calls"])
def test_what_did_not_end_by_itself_is_not_read(reply: str, form: str, finish_reason: str) -> None:
    with pytest.raises(UnreadableReply, match=r"cut off|did not end"):
        read_verdict(reply, finish_reason, form)  # type: ignore[arg-type]


def test_the_prompts_own_example_is_no_verdict() -> None:
    said, one, two = prompts.EXAMPLES[0]
    with pytest.raises(UnreadableReply, match="own example"):
        read_verdict(f"Evidence: {said}\nScore 1: {one}\nScore 2: {two}", "stop", "lines")
