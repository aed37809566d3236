"""A training's curve: points from a job's events, told once and replaced when steps are taken back; and its chart."""

from typing import Any

import pytest

from services.coordinator.dashboard.charts import LEFT, RIGHT
from services.coordinator.dashboard.training_curve import SIZE, curves, sections
from services.coordinator.training_events import Point, behind


def points(*steps: int, loss: float = 1.0) -> list[Point]:
    """As the trainer tells them in time."""
    return [Point(step, loss / step, 1e-5) for step in steps]


def said(event: Any) -> Point | None:
    return Point.of_event({"data": event})


def test_only_events_of_steps_are_points() -> None:
    assert said({"step": 3, "loss": 0.5, "learning_rate": 2e-5, "samples_per_s": 8}) == Point(3, 0.5, 2e-5)
    assert said({"step": 3, "train_loss": 1}) == Point(3, 1.0, None)


@pytest.mark.parametrize(
    "data",
    [
        None,
        "text",
        [1],
        {},
        {"step": 3},
        {"loss": 0.5},
        {"step": 3, "loss": None},
        {"step": 3, "loss": float("nan")},
        {"step": "3", "loss": 0.5},
        {"step": True, "loss": 0.5},
        {"step": -1, "loss": 0.5},
        {"step": 2**63, "loss": 0.5},
    ],
)
def test_events_about_anything_else_are_none(data: Any) -> None:
    assert said(data) is None


def test_what_is_behind_the_known_point_is_told_oldest_first() -> None:
    told = points(1, 2, 3, 4)
    assert behind(None, told[::-1]) == told
    assert behind(told[1], told[::-1]) == told[2:]
    assert behind(told[3], told[::-1]) == []


def test_a_job_that_went_back_says_its_later_steps_anew() -> None:
    first, again = points(1, 2, 3, 4), points(3, 4, 5, loss=2.0)
    told = [*first, *again]
    assert behind(first[3], told[::-1]) == again
    assert behind(None, told[::-1]) == [*first[:2], *again]


def test_a_return_that_was_equal_to_the_last_bit_loses_nothing() -> None:
    told = [*points(1, 2, 3, 4), *points(3, 4, 5)]
    assert behind(Point(4, 0.25, 1e-5), told[::-1]) == points(5)


def test_where_the_known_step_was_said_otherwise_all_is_told_again() -> None:
    told = points(1, 2, 3)
    assert behind(Point(2, 9.0, None), told[::-1]) == told


def row(iteration: int, step: int, loss: float, rate: float | None = 1e-5) -> dict[str, Any]:
    return {"iteration": iteration, "step": step, "loss": loss, "learning_rate": rate}


ROWS = [row(0, 10, 4.0), row(0, 20, 3.0), row(1, 30, 2.0), row(1, 60, 1.0), row(2, 20, 0.5)]


def test_trainings_stand_one_behind_the_other() -> None:
    assert [(part.name, part.begins, part.steps) for part in sections(ROWS)] == [
        ("stage 1", 0, 20),
        ("1", 20, 60),
        ("2", 80, 20),
    ]
    loss, rate = curves(ROWS)
    width = SIZE[0] - LEFT - RIGHT
    assert [round((line.points[-1][0] - LEFT) / width, 3) for line in loss.lines] == [0.2, 0.8, 1.0]
    assert [round((x - LEFT) / width, 3) for x in loss.borders] == [0.2, 0.8]
    heights = [y for line in loss.lines for _, y in line.points]
    assert heights == sorted(heights)  # the loss falls, and a picture's heights count from above
    assert loss.summary.startswith("stage 1: 20 steps, from 4 to 3; iteration 1: 60 steps, from 2 to 1;")
    assert rate.title == "Learning rate by step"


def test_a_trainer_that_says_no_learning_rate_has_one_chart_and_none_before_the_first_step() -> None:
    assert [chart.title for chart in curves([row(1, 1, 2.0, None), row(1, 2, 1.0, None)])] == [
        "Training loss by step"
    ]
    assert curves([]) == []
