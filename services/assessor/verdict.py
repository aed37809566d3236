"""Reads a judge's reply: evidence and one score for each answer, or UnreadableReply with the reason.

Strict in both forms, since a judge may quote an answer that holds scores of its own: what could be read in two ways
is not read. Scores outside [1, 10] are unreadable, not clamped.
"""

import re
from dataclasses import dataclass
from typing import Any

from services.assessor import prompts
from services.assessor.difficulty import MAX_SCORE, MIN_SCORE
from shared.errors import told
from shared.reply_form import ReplyForm, UnreadableReply, json_object, require_ended

KEYS = ("evidence", "score_1", "score_2")
SCORE_LINE = re.compile(r"[*\s]*score ([12])[*\s]*:[*\s]*([0-9]+(?:\.[0-9]+)?)[*\s]*", re.IGNORECASE)
SCORE_ANYWHERE = re.compile(r"score[\W_]*[12](?![0-9])[\W_]{1,8}[0-9]", re.IGNORECASE)
FROM_THE_PROMPT = {said for said, *_ in prompts.EXAMPLES}


@dataclass(frozen=True)
class Verdict:
    evidence: str
    first_score: float
    second_score: float


def read_verdict(reply: str, finish_reason: str, form: ReplyForm) -> Verdict:
    """The verdict in a reply of the form that was asked for."""
    require_ended(finish_reason)
    verdict = _from_json(reply) if form == "json" else _from_lines(reply)
    if not verdict.evidence:
        raise UnreadableReply("expected evidence in words before the scores")
    if verdict.evidence in FROM_THE_PROMPT:
        raise UnreadableReply("the reply is the prompt's own example")
    return verdict


def _from_json(reply: str) -> Verdict:
    found = json_object(reply, KEYS)
    if not isinstance(found["evidence"], str):
        raise UnreadableReply(f"expected evidence in words, got {told(found['evidence'])}")
    return Verdict(found["evidence"].strip(), _score(found["score_1"]), _score(found["score_2"]))


def _from_lines(reply: str) -> Verdict:
    """The last two lines are the scores, and nothing before them looks like one."""
    lines = [line for line in reply.splitlines() if line.strip()]
    scores = [SCORE_LINE.fullmatch(line) for line in lines[-2:]]
    if [found and found[1] for found in scores] != ["1", "2"]:
        raise UnreadableReply(
            f"expected the last two lines 'Score 1: ...' and 'Score 2: ...', got {told(reply[-60:])}"
        )
    before = "\n".join(lines[:-2])
    if found := SCORE_ANYWHERE.search(before):
        raise UnreadableReply(f"a score stands in the evidence too: {told(found[0])}")
    first, second = (_score(float(found[2])) for found in scores if found)
    return Verdict(before.strip().removeprefix("Evidence:").strip(), first, second)


def _score(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableReply(f"expected a number as score, got {told(value)}")
    if not MIN_SCORE <= value <= MAX_SCORE:  # false for NaN too
        raise UnreadableReply(f"expected a score from 1 to 10, got {told(value)}")
    return float(value)
