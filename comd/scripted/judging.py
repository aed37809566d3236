"""The judge: works out the true answer from the picture and scores two answers against it.

In: the fenced question and answers, and the scene. Out: the verdict in the form that the prompt asks for.
"""

import json
import re
from random import Random

from comd.scripted.answering import CANNOT_TELL
from comd.world.grammar import NOTHING, NUMBER_WORDS, Query, answer, caption, normalise, parse
from comd.world.scene import COLOURS, PLACES, SHAPES, Scene

_FENCE = re.compile(
    r"\[(context|question|answer 1|answer 2) ([^\],\n]*)\]\n(.*?)\n?\[end of \1 \2(?:, [^\]\n]*)?\]",
    re.DOTALL,
)
_VOCABULARY = {
    "colour": COLOURS,
    "shape": SHAPES,
    "position": tuple(normalise(place) for place in PLACES),
    "count": NUMBER_WORDS,
}
_RIGHT_SCORES = (8, 9, 9, 9, 10)
_WRONG_SCORES = (1, 2, 2, 3)
_FIRST_PLACE_BONUS_RATE = 0.15
"""How often the first answer gets a point for standing first, as real judges are prone to give."""


def fenced_parts(text: str) -> dict[str, str]:
    """Context, question and answers by label. A label's first fence counts: what is inside it is only text."""
    parts: dict[str, str] = {}
    for label, _, inside in _FENCE.findall(text):
        parts.setdefault(label, inside)
    return parts


def judge(text: str, scene: Scene | None, unreadable_rate: float, rng: Random, *, wants_json: bool) -> str:
    """The verdict on the fenced answers; at `unreadable_rate` one that no parser accepts."""
    parts = fenced_parts(text)
    answers = (parts.get("answer 1", ""), parts.get("answer 2", ""))
    if rng.random() < unreadable_rate:
        return "Both answers have something for them; it is hard to put a number on it."
    query = parse(parts.get("question", ""))
    truth = answer(query, scene) if query and scene else None
    grades = [quality(reply, query, truth) for reply in answers]
    scores = [score(grade, rng) for grade in grades]
    if rng.random() < _FIRST_PLACE_BONUS_RATE:
        scores[0] = min(scores[0] + 1, max(_RIGHT_SCORES) if grades[0] == 1 else 9 if grades[0] else 3)
    evidence = _evidence(scene, truth, grades)
    if not wants_json:
        return f"Evidence: {evidence}\nScore 1: {scores[0]}\nScore 2: {scores[1]}"
    return json.dumps({"evidence": evidence, "score_1": scores[0], "score_2": scores[1]})


def quality(reply: str, query: Query | None, truth: str | None) -> float:
    """How right a reply is, from 0 to 1. Between them lie only descriptions that are right in part."""
    said = normalise(reply)
    if query is None or truth is None:
        return float(said == normalise(CANNOT_TELL))
    true = normalise(truth)
    if said == true:
        return 1.0
    if query.kind == "description":
        return _overlap(said, true)
    return float(_mentioned(said, _VOCABULARY[query.kind]) == {true})


def score(grade: float, rng: Random) -> int:
    """A score from 1 to 10 for a quality from 0 to 1, with a judge's noise."""
    if grade >= 1:
        return rng.choice(_RIGHT_SCORES)
    return round(7 * grade) + rng.choice((0, 1)) + 1 if grade > 0 else rng.choice(_WRONG_SCORES)


def _mentioned(said: str, vocabulary: tuple[str, ...]) -> set[str]:
    return {words for words in vocabulary if f" {words} " in f" {said} "}


def _overlap(said: str, true: str) -> float:
    """The share of things that reply and truth have in common (Dice), each thing a colour and a shape."""
    ours, theirs = _things(said), _things(true)
    common = sum(min(ours.count(thing), theirs.count(thing)) for thing in set(ours))
    # Below 1 even where all things are there: their order is wrong, or something was added.
    return min(0.9, 2 * common / max(1, len(ours) + len(theirs)))


def _things(words: str) -> list[str]:
    return (
        [NOTHING]
        if words == NOTHING
        else re.findall(rf"(?:{'|'.join(COLOURS)}) (?:{'|'.join(SHAPES)})", words)
    )


def _evidence(scene: Scene | None, truth: str | None, grades: list[float]) -> str:
    if scene is None or truth is None:
        return "I cannot make out in the picture what the question asks for."
    verdicts = ["right" if grade == 1 else "right in part" if grade else "wrong" for grade in grades]
    seen = caption(scene)
    return f"I see: {seen} So the answer is: {truth} Answer 1 is {verdicts[0]}, answer 2 is {verdicts[1]}."
