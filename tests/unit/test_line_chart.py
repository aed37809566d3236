"""Lines over linear and logarithmic axes: where the points come to stand."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from comd.report.line_chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, line_chart, short, smoothed

LOG = Axis("rank", log=True)


def places(chart: str) -> list[tuple[float, float]]:
    """The points of the first line."""
    drawn = re.search(r'points="([^"]*)"', chart)
    assert drawn is not None
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in drawn[1].split())]


def test_powers_of_ten_are_equally_far_apart_on_logarithmic_axes() -> None:
    chart = line_chart({"a": [(1, 1000), (10, 100), (100, 10), (1000, 1)]}, LOG, LOG, "")
    across, up = zip(*places(chart), strict=True)
    assert across == pytest.approx([LEFT + (WIDTH - RIGHT - LEFT) * third / 3 for third in range(4)], abs=0.1)
    assert up == pytest.approx([TOP + (HEIGHT - BOTTOM - TOP) * third / 3 for third in range(4)], abs=0.1)


def test_a_linear_axis_begins_at_zero_and_has_round_ticks() -> None:
    chart = line_chart({"loss": [(1, 4.7), (60, 1.2)]}, Axis("step"), Axis("loss"), "stage 1", alone=True)
    ElementTree.fromstring(chart)  # a file of its own must be XML
    assert places(chart)[0][1] == pytest.approx(TOP + (HEIGHT - BOTTOM - TOP) * 0.3 / 5, abs=0.1)
    texts = re.findall(r">([^<>]+)</text>", chart)
    assert [text for text in texts if text in {"0", "1", "5", "20", "40", "60"}] == [
        "0",
        "1",
        "5",
        "0",
        "20",
        "40",
        "60",
    ]


@pytest.mark.parametrize("points", [[], [(1.0, 1.0)], [(5.0, 0.0), (6.0, 0.0)]])
def test_little_to_draw_is_drawn(points: list[tuple[float, float]]) -> None:
    assert "nan" not in line_chart({"a": points}, Axis("x"), Axis("y"), "")


def test_numbers_are_short() -> None:
    assert [short(value) for value in (1, 0.05, 30_000, 2e6, 1e9)] == ["1", "0.05", "30k", "2M", "1G"]


def test_many_points_become_means_of_neighbours() -> None:
    many = [(float(step), float(step % 2)) for step in range(1, 1001)]
    few = smoothed(many, 100)
    assert len(few) == 100
    assert {height for _, height in few} == {0.5}
    assert few[-1][0] == 1000
    assert smoothed(many[:50], 100) == many[:50]
    assert smoothed([], 100) == []
