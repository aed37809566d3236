"""ROUGE-L novelty against the shared vectors and against rouge-score itself as the oracle."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from services.augmentor import novelty
from services.augmentor.novelty import is_novel, nearest, rouge_l, tokens

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "rouge_l.json").read_text())
ORACLE = RougeScorer(["rougeL"], use_stemmer=False)
WORDS = ["what", "is", "the", "red", "Dog", "man's", "bus?", "two", "in", "IMAGE", "图", "left-hand", "7"]
sentences = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)


@pytest.mark.parametrize("vector", VECTORS)
def test_vectors(vector: dict[str, Any]) -> None:
    assert rouge_l(vector["a"], vector["b"]) == pytest.approx(vector["rouge_l"], abs=1e-6)
    assert is_novel(vector["a"], [vector["b"]]) == vector["novel"]


@given(sentences, sentences)
def test_rouge_l_equals_rouge_score(a: str, b: str) -> None:
    assert rouge_l(a, b) == pytest.approx(ORACLE.score(a, b)["rougeL"].fmeasure, abs=1e-12)


@given(st.text(max_size=30), st.text(max_size=30))
def test_rouge_l_equals_rouge_score_on_any_text(a: str, b: str) -> None:
    assert rouge_l(a, b) == pytest.approx(ORACLE.score(a, b)["rougeL"].fmeasure, abs=1e-12)


@given(sentences, st.lists(sentences, max_size=5))
def test_novel_means_novel_against_each(candidate: str, existing: list[str]) -> None:
    assert is_novel(candidate, existing) == all(is_novel(candidate, [other]) for other in existing)
    assert is_novel(candidate, existing) == is_novel(candidate, existing[::-1])


@given(sentences)
def test_nothing_is_novel_beside_itself(text: str) -> None:
    assert not is_novel(text, [f"  {text.upper().lower()} "])


def test_letters_that_fold_to_two_are_the_same_question() -> None:
    assert not is_novel("WO IST DIE STRASSE DES FESTES?", ["something else", "wo ist die straße des feſtes?"])


def test_the_boundary_has_no_rounding() -> None:
    # LCS 7 of 10 and 10 tokens: exactly 0.7, which floats may miss by one unit in the last place
    assert not is_novel("a b c d e f g h i j", ["a b c d e f g x y z"])


def test_characters_stand_for_tokens_in_other_scripts() -> None:
    assert not is_novel("图片里有什么动物呢", ["图片里有什么动物"])
    assert not is_novel("图片里有什么动物呢 A", ["图片里有什么动物呢"])  # only one of them has a token
    assert is_novel("图片里有什么动物?", ["街上停着几辆红色的车?"])


@given(sentences, st.lists(sentences, max_size=6))
def test_nearest_is_the_first_of_the_most_alike(candidate: str, existing: list[str]) -> None:
    def alike(other: str) -> float:
        found = nearest(candidate, [other])
        return found.rouge_l if found else 0.0

    found = nearest(candidate, existing)
    best = max(existing, key=alike, default=None)
    assert (found and found.text, found and found.rouge_l) == (best, None if best is None else alike(best))


@given(sentences, sentences)
def test_decisions_equal_rouge_scores(a: str, b: str) -> None:
    found = ORACLE.score(b, a)["rougeL"].fmeasure
    if tokens(a) and tokens(b):
        assert is_novel(a, [b]) == (round(found, 12) < 0.7)  # the scorer's own rounding may miss 0.7 itself


def test_a_full_alphabet_is_begun_anew() -> None:
    kept = "what lies on the desk"
    assert rouge_l(kept, "what lies on the desk beside it") == pytest.approx(10 / 12)
    assert not is_novel(kept, ["what lies on the desk beside it"])
    many = " ".join(f"w{number}" for number in range(novelty.MOST_LETTERS + 1))
    assert rouge_l(many, "w7") == pytest.approx(2 / (novelty.MOST_LETTERS + 2))
    assert rouge_l("this comes first in the new alphabet", "first") == pytest.approx(2 / 8)
    assert rouge_l(kept, "what lies on the desk beside him") == pytest.approx(10 / 12)
    assert not is_novel(kept, ["this comes first in the", "what lies on the desk beside her"])
    assert len(novelty._alphabet) < 20


def test_nearest_names_the_text_and_its_score() -> None:
    found = nearest("how many cats are there", ["what is red", "how many dogs are there"])
    assert found is not None
    assert found.text == "how many dogs are there"
    assert found.rouge_l == pytest.approx(0.8)
    assert nearest("anything", []) is None
