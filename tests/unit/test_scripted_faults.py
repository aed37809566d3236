"""Faults strike by a hash of the request; replies take OpenAI's shapes; calls are counted."""

from hashlib import sha256

import orjson
import pytest

from comd.scripted.asking import Asking
from comd.scripted.calls import CallCounts
from comd.scripted.completion import chunks, completion
from comd.scripted.errors import ApiError
from comd.scripted.faults import Fault, FaultPlan, parse_rules

DIGESTS = [sha256(b"%d" % number).digest() for number in range(1000)]


def asking(max_words: int | None = None) -> Asking:
    return Asking("scripted", "teacher", None, "Who?", max_words, False, b"n" * 32)


def test_a_rule_strikes_its_share_and_always_the_same_requests() -> None:
    plan = FaultPlan((Fault("503", rate=0.2),))
    struck = [plan.fault_for(digest, "teacher") is not None for digest in DIGESTS]
    assert 140 < sum(struck) < 260
    assert struck == [plan.fault_for(digest, "teacher") is not None for digest in DIGESTS]


def test_a_rule_that_strikes_once_lets_the_repeat_pass() -> None:
    plan = FaultPlan((Fault("reset", once=True),))
    assert plan.fault_for(DIGESTS[0], "judge") is not None
    assert plan.fault_for(DIGESTS[0], "judge") is None
    assert plan.fault_for(DIGESTS[1], "judge") is not None


def test_a_rule_keeps_to_its_role_and_the_first_that_strikes_counts() -> None:
    plan = FaultPlan((Fault("429", role="judge"), Fault("500")))
    kinds = [fault.kind for role in ("judge", "teacher") if (fault := plan.fault_for(DIGESTS[0], role))]
    assert kinds == ["429", "500"]


def test_rules_are_read_from_json() -> None:
    assert parse_rules(
        '[{"kind": 429, "retry_after": 3}, {"kind": "slow", "seconds": 1, "role": "judge"}]'
    ) == (
        Fault("429", retry_after=3),
        Fault("slow", seconds=1, role="judge"),
    )


@pytest.mark.parametrize(
    "rules",
    [
        "{",
        "{}",
        "[1]",
        '[{"kind": "fire"}]',
        '[{"kind": "slow", "often": 1}]',
        '[{"kind": "slow", "role": "x"}]',
    ],
)
def test_a_wrong_rule_is_refused(rules: str) -> None:
    with pytest.raises(ApiError) as refusal:
        parse_rules(rules)
    assert refusal.value.status == 400


def test_a_reply_beyond_the_limit_is_cut_and_says_so() -> None:
    whole = orjson.loads(completion(asking(), "one two three"))["choices"][0]
    cut = orjson.loads(completion(asking(2), "one two three"))["choices"][0]
    assert (whole["message"]["content"], whole["finish_reason"]) == ("one two three", "stop")
    assert (cut["message"]["content"], cut["finish_reason"]) == ("one two", "length")


def test_a_stream_says_the_same_as_the_whole_reply() -> None:
    events = [event.decode() for event in chunks(asking(), "one two three", include_usage=True)]
    assert events[-1] == "data: [DONE]\n\n"
    parts = [orjson.loads(event.removeprefix("data: ")) for event in events[:-1]]
    deltas = [part["choices"][0]["delta"].get("content", "") for part in parts if part["choices"]]
    assert "".join(deltas) == "one two three"
    assert parts[-1]["usage"] == orjson.loads(completion(asking(), "one two three"))["usage"]


def test_repeats_are_counted_by_role() -> None:
    counts = CallCounts()
    for digest, role in [(b"a", "judge"), (b"a", "judge"), (b"b", "teacher")]:
        counts.note(digest, role)
    shown = counts.as_json()
    assert (shown["total"], shown["repeated"]) == (3, 1)
    assert shown["repeated_by_role"] == {"judge": 1}
