"""Curves as characters: the ends of the range, gaps, thinning, and values that do not vary."""

import math

import pytest

from comd.sparkline import ASCII, BLOCKS, sparkline


def test_the_least_is_lowest_and_the_greatest_highest() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 80) == BLOCKS
    assert sparkline([3.0, 1.0], 80) == "█▁"


def test_nothing_and_gaps() -> None:
    assert sparkline([], 80) == ""
    assert sparkline([None, 1.0, None, 2.0], 80) == " ▁ █"
    assert sparkline([None, None], 80) == "  "


def test_values_that_do_not_vary_lie_in_the_middle() -> None:
    assert sparkline([5.0, 5.0], 80) == "▅▅"


def test_a_given_range_holds_values_inside_it() -> None:
    assert sparkline([0.5, -1.0, 2.0], 80, low=0.0, high=1.0) == "▅▁█"


@pytest.mark.parametrize("num", [11, 25, 1000])
def test_more_values_than_room_are_averaged(num: int) -> None:
    line = sparkline([math.floor(2 * place / num) for place in range(num)], 10)
    assert len(line) == 10
    assert (line[0], line[-1]) == ("▁", "█")


def test_an_outlier_among_many_is_still_seen() -> None:
    assert "█" in sparkline([0.0] * 500 + [100.0] + [0.0] * 499, 20)


def test_plain_characters_and_no_room() -> None:
    assert sparkline([0.0, 1.0], 80, blocks=ASCII) == "_#"
    assert sparkline([1.0, 2.0], 0) == ""
