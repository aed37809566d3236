"""Understands, answers and writes the world's questions.

In: the text of a question, or a scene. Out: a query (what is asked), its true answer, or new questions.
"""

import re
from dataclasses import dataclass
from random import Random

from comd.world.phrasing import FILLINGS, KINDS, PHRASINGS, fill
from comd.world.scene import COLOURS, PLACES, SHAPES, Scene, Thing

NUMBER_WORDS = ("zero", "one", "two", "three", "four")
NOTHING = "nothing"
_CELLS = {
    "top row": (0, 1),
    "bottom row": (2, 3),
    "left side": (0, 2),
    "right side": (1, 3),
    "whole picture": (0, 1, 2, 3),
}
_NOT_A_WORD = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked, whatever the wording: a kind, and a place, colour, shape or region."""

    kind: str
    target: str


def normalise(text: str) -> str:
    """Lower case, no punctuation, single blanks: the form in which answers are compared."""
    return _NOT_A_WORD.sub(" ", text.lower()).strip()


_QUERIES = {
    normalise(fill(phrasing, words)): Query(kind, target)
    for kind in KINDS
    for phrasing in PHRASINGS[kind]
    for target, words in FILLINGS[kind]
}
_PHRASING_OF = {
    normalise(fill(phrasing, words)): phrasing
    for kind in KINDS
    for phrasing in PHRASINGS[kind]
    for _, words in FILLINGS[kind]
}
_WORDS = {kind: dict(FILLINGS[kind]) for kind in KINDS}


def parse(question: str) -> Query | None:
    """What `question` asks; None where it is not one of the world's questions."""
    return _QUERIES.get(normalise(question))


def answer(query: Query, scene: Scene) -> str | None:
    """The true answer as a sentence; None where the picture does not hold one ("the red one" of two)."""
    words = _answer_words(query, scene)
    return None if words is None else words[0].upper() + words[1:] + "."


def _answer_words(query: Query, scene: Scene) -> str | None:
    if query.kind in ("count", "description"):
        things = [thing for cell in _CELLS[query.target] if (thing := scene[cell])]
        if query.kind == "count":
            return NUMBER_WORDS[len(things)]
        return ", ".join(str(thing) for thing in things) or NOTHING
    cell = _cell(query.target, scene)
    if cell is None:
        return None
    if query.kind == "position":
        return PLACES[cell]
    thing = scene[cell]
    return getattr(thing, query.kind) if thing else None


def _cell(target: str, scene: Scene) -> int | None:
    """The cell that a place names, or the only one with this colour or shape."""
    if target in PLACES:
        return PLACES.index(target)
    cells = [cell for cell, thing in enumerate(scene) if thing and target in (thing.colour, thing.shape)]
    return cells[0] if len(cells) == 1 else None


def queries(scene: Scene, kind: str) -> list[Query]:
    """All that can be asked of this kind about this picture and has an answer."""
    every = (Query(kind, target) for target, _ in FILLINGS[kind])
    return [query for query in every if _answer_words(query, scene) is not None]


def compose(query: Query, rng: Random, unlike: str = "") -> str:
    """`query` as a question in one of its wordings, drawn at random; never in that of the question `unlike`."""
    worded = _PHRASING_OF.get(normalise(unlike))
    phrasings = [phrasing for phrasing in PHRASINGS[query.kind] if phrasing != worded]
    return fill(rng.choice(phrasings), _WORDS[query.kind][query.target])


def new_question(scene: Scene, parent: str, rng: Random) -> str | None:
    """A question of the parent's kind in other words, about something else where the picture has something else."""
    asked = parse(parent)
    possible = queries(scene, asked.kind) if asked else []
    other = [query for query in possible if query != asked] or possible
    return compose(rng.choice(other), rng, unlike=parent) if other else None


def wrong_answer(query: Query, scene: Scene, rng: Random) -> str:
    """An answer of the right form that is not the true one."""
    truth = _answer_words(query, scene)
    while (words := _random_answer(query, rng)) == truth:
        pass
    return words[0].upper() + words[1:] + "."


def _random_answer(query: Query, rng: Random) -> str:
    if query.kind == "description":
        num_things = rng.randint(1, 2)
        return ", ".join(str(Thing(rng.choice(COLOURS), rng.choice(SHAPES))) for _ in range(num_things))
    choices = {"colour": COLOURS, "shape": SHAPES, "position": PLACES, "count": NUMBER_WORDS}
    return rng.choice(choices[query.kind])


def caption(scene: Scene) -> str:
    """The picture in one sentence, thing by thing with its place."""
    parts = [f"{thing} {place}" for thing, place in zip(scene, PLACES, strict=True) if thing]
    return ", ".join(parts).capitalize() + "."
