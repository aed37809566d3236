"""A run's scores by iteration: every point, its interval and the paper's lines stand where their numbers are."""

from typing import Any

import pytest

from services.coordinator.dashboard.charts import BOTTOM, TOP
from services.coordinator.dashboard.score_charts import HEIGHT, Axis, score_charts

SETTINGS = {"method": "letter", "with_images": True, "temperature": 0.5, "judge_sees": "image", "seed": 0}


def measured(iteration: int | None, value: float | None, **more: Any) -> dict[str, Any]:
    cell = None if value is None else {"value": value, "low": value - 2, "high": value + 3, "num": 100}
    return {
        "id": f"run-{iteration}",
        "benchmark": "exam",
        "kind": "scienceqa",
        "iteration": iteration,
        "settings": SETTINGS,
        "scores": cell and {"AVG": cell},
        "created_at": 0,
        **more,
    }


def test_a_curve_has_a_point_an_interval_and_a_link_for_each_iteration() -> None:
    (curve,) = score_charts([measured(1, 90.0), measured(0, 80.0), measured(2, None), measured(None, 70.0)])
    chart = curve.chart
    assert chart.title == "exam, by letter, temperature 0.5"
    assert curve.links == (("start", "run-0"), ("1", "run-1"))
    *_, first, second, points = chart.lines
    assert points.tips == ("start: 80.00 (78.00 to 83.00)", "1: 90.00 (88.00 to 93.00)")
    for (x, y), interval in zip(points.points, (first, second), strict=True):
        heights = [place[1] for place in interval.points]
        assert min(heights) < y < max(heights)
        assert {place[0] for place in interval.points} == {x - 5, x, x + 5}


def test_the_papers_lines_stand_at_its_numbers() -> None:
    (curve,) = score_charts([measured(0, 90.92), measured(1, 91.94)])
    teacher, student, *_, points = curve.chart.lines
    assert ["paper" in line.style for line in curve.chart.lines[:3]] == [True, True, False]
    for line, (_, y) in zip((teacher, student), points.points, strict=True):
        assert [place[1] for place in line.points] == pytest.approx([y, y])
    assert "LLaVA-13B, the teacher (paper): 90.92" in curve.chart.summary
    assert list(curve.chart.legend.values())[1:] == [
        "LLaVA-13B, the teacher, the paper",
        "CoMD-7B, the paper",
    ]


def test_ways_of_measuring_are_curves_of_their_own_and_the_newest_counts() -> None:
    likely = {**SETTINGS, "method": "likelihood", "seed": 7}
    rows = [
        measured(1, 50.0),
        measured(1, 60.0, id="again", created_at=1),
        measured(1, 70.0, settings=likely),
    ]
    letter, likelihood = score_charts(rows)
    assert letter.links == (("1", "again"),)
    assert likelihood.chart.title == "exam, by likelihood, seed 7"


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ((38.0, 92.0), (20.0, 100.0)),
        ((90.1, 91.9), (90.0, 92.0)),
        ((85.0, 85.0), (85.0, 86.0)),
        ((-1.0, 150.0), (-20.0, 160.0)),
    ],
)
def test_the_axis_holds_what_is_there(values: tuple[float, float], ends: tuple[float, float]) -> None:
    axis = Axis.around(values)
    assert (axis.low, axis.high) == ends
    assert (axis.ticks[0], axis.ticks[-1]) == ends
    assert 2 <= len(axis.ticks) <= 10
    assert (axis.place(axis.low), axis.place(axis.high)) == (HEIGHT - BOTTOM, TOP)
