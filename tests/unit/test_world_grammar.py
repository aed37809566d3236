"""The grammar understands all that it writes, answers truly, and writes new questions of the parent's kind."""

from random import Random

import pytest

from comd.world.grammar import (
    Query,
    answer,
    caption,
    compose,
    new_question,
    normalise,
    parse,
    queries,
    wrong_answer,
)
from comd.world.phrasing import FILLINGS, KINDS, PHRASINGS, fill
from comd.world.scene import Scene, Thing, random_scene

SCENE: Scene = (Thing("red", "circle"), None, Thing("blue", "circle"), Thing("red", "square"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_question_is_understood_whatever_its_case_and_punctuation(kind: str) -> None:
    for phrasing in PHRASINGS[kind]:
        for target, words in FILLINGS[kind]:
            question = fill(phrasing, words)
            assert parse(question) == Query(kind, target)
            assert parse(f"  {question.upper().replace('?', ' !')}\n") == Query(kind, target)


@pytest.mark.parametrize(
    ("query", "truth"),
    [
        (Query("colour", "top-left"), "Red."),
        (Query("colour", "top-right"), None),
        (Query("shape", "bottom-right"), "Square."),
        (Query("shape", "blue"), "Circle."),
        (Query("shape", "red"), None),
        (Query("position", "blue"), "Bottom-left."),
        (Query("position", "square"), "Bottom-right."),
        (Query("position", "circle"), None),
        (Query("count", "whole picture"), "Three."),
        (Query("count", "right side"), "One."),
        (Query("description", "top row"), "Red circle."),
        (Query("description", "bottom row"), "Blue circle, red square."),
    ],
)
def test_answers_are_true(query: Query, truth: str | None) -> None:
    assert answer(query, SCENE) == truth


def test_an_empty_region_is_nothing() -> None:
    scene: Scene = (None, None, Thing("red", "circle"), None)
    assert answer(Query("count", "top row"), scene) == "Zero."
    assert answer(Query("description", "top row"), scene) == "Nothing."


@pytest.mark.parametrize("text", ["", "What is love?", "What colour is the purple one?"])
def test_what_is_no_question_of_the_world_is_not_understood(text: str) -> None:
    assert parse(text) is None


def test_new_questions_keep_the_kind_change_the_words_and_have_an_answer() -> None:
    for seed in range(300):
        rng = Random(seed)
        scene = random_scene(rng)
        kind = rng.choice([kind for kind in KINDS if queries(scene, kind)])
        asked = rng.choice(queries(scene, kind))
        parent = compose(asked, rng)
        written = new_question(scene, parent, rng)
        assert written is not None
        query = parse(written)
        assert query is not None
        assert query.kind == kind
        assert answer(query, scene) is not None
        assert normalise(written) != normalise(parent)
        assert query != asked or len(queries(scene, kind)) == 1


def test_a_wrong_answer_is_never_the_true_one() -> None:
    for seed in range(300):
        rng = Random(seed)
        scene = random_scene(rng)
        query = rng.choice([query for kind in KINDS for query in queries(scene, kind)])
        assert normalise(wrong_answer(query, scene, rng)) != normalise(answer(query, scene) or "")


def test_a_caption_names_everything() -> None:
    assert caption(SCENE) == "Red circle top-left, blue circle bottom-left, red square bottom-right."
