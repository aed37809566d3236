"""The balanced selection against the shared vector, and against the paper's procedure followed step by step."""

import hashlib
import json
from itertools import permutations
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.trainer.captions import select_captions

VECTOR = json.loads((Path(__file__).parents[1] / "vectors" / "caption_selection.json").read_text())
PHRASES = ["a dog", "park", "der große Hund", "公园", "a|b", "a", "b", ""]
captions = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=3),
    st.lists(st.sampled_from(PHRASES), max_size=5),
    max_size=25,
)
Captions = dict[str, list[str]]


def step_by_step(captions: Captions, min_frequency: int, cap: int, seed: int) -> set[str]:
    """As the paper tells it: from the rarest phrase up, its captions join, or the first `cap` of them when drawn."""
    frequency = {
        phrase: sum(phrase in phrases for phrases in captions.values())
        for phrases in captions.values()
        for phrase in phrases
    }
    selection: set[str] = set()
    for phrase in sorted(frequency, key=lambda phrase: (frequency[phrase], phrase)):
        if frequency[phrase] < min_frequency:
            continue
        having = [id for id, phrases in captions.items() if phrase in phrases]
        if len(having) > cap:
            drawn = sorted(
                (hashlib.sha256(b"|".join([b"%d" % seed, phrase.encode(), id.encode()])).hexdigest(), id)
                for id in having
            )
            having = [id for _, id in drawn[:cap]]
        selection = selection | set(having)
    return selection


@pytest.mark.parametrize("cap", sorted(VECTOR["expected"], key=int))
def test_vector(cap: str) -> None:
    found = select_captions(
        VECTOR["captions"].items(), min_frequency=VECTOR["min_frequency"], cap=int(cap), seed=VECTOR["seed"]
    )
    assert sorted(found) == VECTOR["expected"][cap]


@settings(deadline=None, max_examples=50)
@given(captions, st.integers(1, 6), st.integers(1, 8), st.integers(-3, 2**70))
def test_equals_the_paper_step_by_step(captions: Captions, least: int, cap: int, seed: int) -> None:
    found = select_captions(captions.items(), min_frequency=least, cap=cap, seed=seed)
    assert found == step_by_step(captions, least, cap, seed)


@settings(deadline=None, max_examples=50)
@given(captions, st.randoms(use_true_random=False))
def test_order_of_captions_and_phrases_means_nothing(captions: Captions, drawn: Random) -> None:
    shuffled = [(id, drawn.sample(phrases, len(phrases))) for id, phrases in captions.items()]
    drawn.shuffle(shuffled)
    assert select_captions(shuffled, cap=2) == select_captions(captions.items(), cap=2)


def test_defaults_are_the_papers() -> None:
    often = {f"often {number:03d}": ["street"] for number in range(150)}
    thrice = {f"thrice {number}": ["heron"] for number in range(3)}
    twice = {f"twice {number}": ["unicorn"] for number in range(2)}
    found = select_captions({**often, **thrice, **twice}.items())
    assert len(found & often.keys()) == 100
    assert found - often.keys() == thrice.keys()


def test_a_phrase_said_twice_in_a_caption_counts_once() -> None:
    assert select_captions([("1", ["dog", "dog"]), ("2", ["dog"])]) == set()


def test_an_id_that_comes_twice_is_one_caption_in_any_order() -> None:
    given = [("1", ["dog"]), ("1", ["dog", "cat"]), ("2", ["dog"]), ("2", ["cat"]), ("3", ["cat"])]
    assert {frozenset(select_captions(order)) for order in permutations(given)} == {frozenset("123")}


def test_another_seed_draws_others() -> None:
    captions = [(str(number), ["street"]) for number in range(50)]
    draws = {frozenset(select_captions(captions, cap=5, seed=seed)) for seed in range(4)}
    assert len(draws) == 4
    assert {len(draw) for draw in draws} == {5}


def test_nothing_in_nothing_out() -> None:
    assert select_captions(iter([])) == set()
