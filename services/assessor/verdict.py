"""Reads a judge's reply: evidence and one score for each answer, or UnreadableVerdict with the reason.

Strict: the whole reply is one JSON object with exactly the keys that were asked for. Scores outside [1, 10] are
unreadable, not clamped.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from services.assessor.difficulty import MAX_SCORE, MIN_SCORE

KEYS = {"evidence", "score_1", "score_2"}
CODE_BLOCK = re.compile(r"\A```(?:json)?\s*\n(.*)\n```\Z", re.DOTALL)


class UnreadableVerdict(Exception):
    """The reply does not say what was asked; its text says why."""


@dataclass(frozen=True)
class Verdict:
    evidence: str
    first_score: float
    second_score: float


def read_verdict(reply: str) -> Verdict:
    """The verdict in a reply, which may stand in a Markdown code block as models like to do."""
    text = reply.strip()
    if block := CODE_BLOCK.match(text):
        text = block[1]
    try:
        found = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UnreadableVerdict(f"not one JSON object: {error}") from error
    if not isinstance(found, dict) or set(found) != KEYS:
        raise UnreadableVerdict(f"expected an object with exactly {', '.join(sorted(KEYS))}")
    if not isinstance(found["evidence"], str) or not found["evidence"].strip():
        raise UnreadableVerdict("expected evidence in words before the scores")
    return Verdict(found["evidence"], _score(found["score_1"]), _score(found["score_2"]))


def _score(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableVerdict(f"expected a number as score, got {value!r}")
    if not math.isfinite(value) or not MIN_SCORE <= value <= MAX_SCORE:
        raise UnreadableVerdict(f"expected a score from 1 to 10, got {value!r}")
    return float(value)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")
