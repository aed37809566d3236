"""Means, paired differences and their bootstrap intervals, against values computed by hand."""

import math

import pytest

from comd.ablation.intervals import accuracy, mean_accuracy, mean_difference


def signs(num_right: int, num: int) -> str:
    return "1" * num_right + "0" * (num - num_right)


def test_accuracy_is_the_mean_over_kinds_not_over_items() -> None:
    assert accuracy({"a": "1110", "b": "00"}) == pytest.approx(0.375)


def test_the_mean_is_over_seeds() -> None:
    found = mean_accuracy([{"a": "11"}, {"a": "10"}, {"a": "00"}])
    assert found.value == pytest.approx(0.5)
    assert found.seeds == 3


def test_what_does_not_vary_has_no_width() -> None:
    found = mean_accuracy([{"a": "1111"}, {"a": "1111"}])
    assert (found.low, found.value, found.high) == (1.0, 1.0, 1.0)


def test_one_seed_s_interval_is_that_of_its_items() -> None:
    """p = 0.5, n = 400: the normal approximation gives 0.5 +- 1.96 * 0.025."""
    found = mean_accuracy([{"a": signs(200, 400)}])
    assert found.low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.004)
    assert found.high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.004)


def test_kinds_are_drawn_apart() -> None:
    """Two kinds of n = 400 and p = 0.5: the mean's deviation is 0.025 / sqrt(2); a kind all right adds none."""
    both = mean_accuracy([{"a": signs(200, 400), "b": signs(200, 400)}])
    one = mean_accuracy([{"a": signs(200, 400), "b": "1" * 400}])
    assert (both.high - both.low) / 2 == pytest.approx(1.96 * 0.025 / math.sqrt(2), abs=0.003)
    assert one.value == pytest.approx(0.75)
    assert (one.high - one.low) / 2 == pytest.approx(1.96 * 0.025 / 2, abs=0.003)


def test_the_spread_of_seeds_counts() -> None:
    """Seeds at 0 and 1 without any spread of items: a draw of two is 0, 0.5 or 1, each end in a quarter of them."""
    found = mean_accuracy([{"a": "0" * 50}, {"a": "1" * 50}])
    assert (found.low, found.value, found.high) == (0.0, 0.5, 1.0)


def test_differences_are_paired_by_item() -> None:
    """Equal answers but for 20 of 400 that were won: 0.05 with the deviation of a share of 0.05, far below unpaired."""
    ours, theirs = "1" * 220 + "0" * 180, "1" * 200 + "0" * 200
    found = mean_difference([{"a": ours}], [{"a": theirs}])
    deviation = math.sqrt(0.05 * 0.95 / 400)
    assert found.value == pytest.approx(0.05)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * deviation, abs=0.003)


def test_a_difference_counts_what_was_lost_too() -> None:
    found = mean_difference([{"a": "1100", "b": "01"}], [{"a": "1010", "b": "11"}])
    assert found.value == pytest.approx((0 - 0.5) / 2)


def test_a_pair_of_other_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        mean_difference([{"a": "11"}], [{"a": "1"}])


def test_the_same_items_give_the_same_interval() -> None:
    seeds = [{"a": signs(k, 30), "b": signs(30 - k, 30)} for k in (3, 11, 20)]
    assert mean_accuracy(seeds) == mean_accuracy(seeds)
