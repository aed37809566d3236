"""Charts, the loop's picture and wording: numbers become shapes and words that say the same."""

import itertools
from typing import Any

import pytest

from services.coordinator.dashboard import wording
from services.coordinator.dashboard.charts import BOTTOM, TOP, bars, lines, scale, tick_text
from services.coordinator.dashboard.loop_picture import loop


@pytest.mark.parametrize(
    ("highest", "top", "num_ticks"),
    [(0, 1, 2), (0.35, 0.4, 5), (1, 1, 6), (7, 8, 5), (100, 100, 6), (345, 400, 5), (501_234, 600_000, 4)],
)
def test_scales_are_round_and_high_enough(highest: float, top: float, num_ticks: int) -> None:
    found, ticks = scale(highest)
    assert found == pytest.approx(top)
    assert len(ticks) == num_ticks
    assert ticks[-1] == pytest.approx(top)


def test_stacked_bars_stand_upon_one_another() -> None:
    chart = bars("t", {"difficult": [30], "easy": [60], "unjudged": [0]}, ["1"], stacked=True)
    low, high = chart.bars
    assert low.y + low.height == pytest.approx(chart.height - BOTTOM)
    assert high.y + high.height == pytest.approx(low.y)
    assert high.height == pytest.approx(2 * low.height)
    assert low.tip == "1, difficult: 30"
    assert chart.summary == "difficult: 1 30; easy: 1 60; unjudged: 1 0"


def test_bars_beside_one_another_do_not_touch_their_neighbours() -> None:
    chart = bars("t", {"teacher": [1, 2], "student": [2, 1]}, ["1", "2"])
    edges = sorted((bar.x, bar.x + bar.width) for bar in chart.bars)
    assert all(one[1] <= two[0] + 1e-6 for one, two in itertools.pairwise(edges))


def test_a_line_leaves_out_what_was_not_measured() -> None:
    chart = lines("t", {"all": [0.0, None, 1.0]}, ["start", "1", "2"], unit="share", most=1.0)
    (line,) = chart.lines
    assert [y for _, y in line.points] == [chart.height - BOTTOM, TOP]
    assert line.tips == ("start, all: 0.0 %", "2, all: 100.0 %")


def row(**more: Any) -> dict[str, Any]:
    return {"number": 2, "phase": "assessing", "tuning_pool": 50, "cache_pool": 120, "endings": {}, **more}


def test_the_loop_counts_what_goes_on_as_far_as_it_is() -> None:
    ended = {"teaching": {"failed": 3}}
    found = loop(row(endings=ended), {"phase": "assessing", "done": 70}, has_exam=True)
    assert [station.state for station in found.stations] == [
        "done",
        "done",
        "done",
        "active",
        "waiting",
        "waiting",
    ]
    assert [arrow.count for arrow in found.arrows] == [50, 47, None, 120, 70, None]
    assert found.written is None


def test_the_loop_that_is_round_shows_what_was_selected_and_written() -> None:
    over = row(phase="complete", difficult=40, easy=40, unjudged=2, accepted=66)
    found = loop(over, {}, has_exam=False)
    assert [station.name for station in found.stations] == [
        "Teacher",
        "Training",
        "Judge",
        "Selection",
        "Augmentor",
    ]
    assert [arrow.count for arrow in found.arrows] == [50, 50, 120, 118, 80]
    assert found.written == 66


def test_before_the_beginning_nothing_has_moved() -> None:
    found = loop(None, {}, has_exam=True)
    assert {station.state for station in found.stations} == {"waiting"}
    assert {arrow.count for arrow in found.arrows} == {None}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "–"), (2.34, "2.3 s"), (59.7, "1 min 00 s"), (3700, "1 h 01 min"), (90_000, "1 d 1 h")],
)
def test_durations_are_said_in_two_units(seconds: float | None, said: str) -> None:
    assert wording.duration(seconds) == said


def test_small_sums_of_money_keep_their_digits() -> None:
    assert [wording.money(value, "EUR") for value in (0, 0.00123, 12.5)] == [
        "0.00 EUR",
        "0.0012 EUR",
        "12.50 EUR",
    ]


@pytest.mark.parametrize(
    ("value", "said"), [(0.0015, "1.5e-3"), (2e-05, "2e-5"), (0.05, "0.05"), (0.0, "0"), (30_000, "30K")]
)
def test_a_tick_has_room_beside_its_line(value: float, said: str) -> None:
    assert tick_text(value, "number") == said
