"""Selection as the algorithm has it: difficult ones, as many easy ones by the lowest keyed hash, in any order."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from services.coordinator.selection import choose, select, select_at_most

difficulties = st.dictionaries(
    st.integers(0, 2**63 - 1), st.floats(0.1, 1.0) | st.sampled_from([0.33, 0.32999999999999996])
)
taus = st.sampled_from([0.0, 0.33, 0.67, 1.0])


def keyed(seed: int, number: int) -> str:
    return hashlib.sha256(f"{seed}|{number}".encode()).hexdigest()


def test_difficulty_equal_to_tau_is_difficult() -> None:
    assert select({1: 0.33, 2: 0.3299999}, 0.33, 0) == ([1], [2])


def test_the_easy_ones_with_the_lowest_hash_are_taken() -> None:
    easy = list(range(100, 120))
    difficult, chosen = select({1: 0.9, 2: 0.5, **dict.fromkeys(easy, 0.1)}, 0.33, 7)
    assert difficult == [1, 2]
    assert chosen == sorted(easy, key=lambda number: keyed(7, number))[:2]


def test_fewer_easy_than_difficult_takes_all_easy() -> None:
    difficult, easy = select({1: 0.9, 2: 0.5, 3: 0.1}, 0.33, 0)
    assert (difficult, easy) == ([1, 2], [3])


def test_nothing_difficult_selects_nothing() -> None:
    assert select({1: 0.1, 2: 0.2}, 0.33, 0) == ([], [])


@given(difficulties, taus, st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_the_order_of_the_mapping_does_not_matter(
    values: dict[int, float], tau: float, seed: int, random: object
) -> None:
    items = list(values.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    assert select(dict(items), tau, seed) == select(values, tau, seed)


@given(difficulties, taus, st.integers(0, 100))
def test_difficult_and_easy_are_apart_and_balanced(values: dict[int, float], tau: float, seed: int) -> None:
    difficult, easy = select(values, tau, seed)
    assert set(difficult) == {one for one, value in values.items() if value >= tau}
    assert all(values[one] < tau for one in easy)
    assert len(easy) == min(len(difficult), len(values) - len(difficult))


@given(difficulties, st.integers(0, 100))
def test_other_modes_take_as_many_as_balanced_would(values: dict[int, float], seed: int) -> None:
    num_balanced = len(choose("balanced", None, values, 0.33, seed))
    assert len(choose("random", None, values, 0.33, seed)) == num_balanced
    assert choose("easy_only", None, values, 0.33, seed) <= {k for k, v in values.items() if v < 0.33}
    assert choose("difficult_only", 2, values, 0.33, seed) <= {k for k, v in values.items() if v >= 0.33}


def test_balanced_at_most_a_number_is_half_easy_and_never_more_easy_than_difficult() -> None:
    values = {**dict.fromkeys(range(10), 0.9), **dict.fromkeys(range(10, 30), 0.1)}

    def num(number: int, tau: float = 0.33) -> tuple[int, int]:
        difficult, easy = select_at_most(number, values, tau, 3)
        return len(difficult), len(easy)

    assert num(8) == (4, 4)
    assert num(7) == (4, 3)
    assert num(100) == (10, 10), "as without a number, where there are fewer"
    assert num(8, tau=0.0) == (8, 0), "difficult ones for the easy ones that are not there"
    assert num(8, tau=1.0) == (0, 0)


def test_what_is_kept_of_a_number_has_the_lowest_hashes() -> None:
    values = {**dict.fromkeys(range(10), 0.9), **dict.fromkeys(range(10, 30), 0.1)}
    difficult, easy = select_at_most(6, values, 0.33, 7)
    assert difficult == sorted(range(10), key=lambda number: keyed(7, number))[:3]
    assert easy == sorted(range(10, 30), key=lambda number: keyed(7, number))[:3]


@given(difficulties, taus, st.integers(0, 100))
def test_a_number_that_is_no_bound_changes_nothing(values: dict[int, float], tau: float, seed: int) -> None:
    assert choose("balanced", 2 * len(values) + 1, values, tau, seed) == choose(
        "balanced", None, values, tau, seed
    )


def test_a_given_number_is_kept() -> None:
    values = {number: 0.1 for number in range(50)}
    assert len(choose("random", 7, values, 0.33, 0)) == 7
    assert choose("difficult_only", 7, values, 0.33, 0) == set()
