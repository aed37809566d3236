"""The wordings keep the novelty filter fed: any two of them, however filled in, are novel to one another."""

from itertools import combinations

from comd.world.phrasing import FILLINGS, KINDS, PHRASINGS, fill
from services.augmentor.novelty import is_novel
from services.augmentor.validity import invalid_reason

EVERY = [
    (kind, phrasing, fill(phrasing, words))
    for kind in KINDS
    for phrasing in PHRASINGS[kind]
    for _, words in FILLINGS[kind]
]


def test_every_kind_has_at_least_six_phrasings() -> None:
    assert all(len(set(PHRASINGS[kind])) >= 6 for kind in KINDS)


def test_different_phrasings_stay_below_the_novelty_limit_in_all_kinds_and_fillings() -> None:
    alike = [
        (first[2], second[2])
        for first, second in combinations(EVERY, 2)
        if first[:2] != second[:2] and not is_novel(first[2], [second[2]])
    ]
    assert alike == []


def test_every_question_is_valid_and_stands_for_one_thing() -> None:
    assert [text for _, _, text in EVERY if invalid_reason(text)] == []
    assert len({text for _, _, text in EVERY}) == len(EVERY)
