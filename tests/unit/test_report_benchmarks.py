"""A run's benchmarks in its report: the curve's numbers, the page's tables, the files."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from comd.report import benchmarks
from comd.report.benchmarks import Measured
from comd.report.drawing import draw
from comd.report.material import Material
from comd.report.page import render
from services.coordinator.api.evaluation_shapes import MOST_BESIDE, ScoreTable
from services.coordinator.score_curves import score_curves
from tests.run_reports import HOSTILE, START, picture, report

SETTINGS = {"method": "letter", "with_images": True, "temperature": 0.5, "judge_sees": "image", "seed": 0}


def evaluation(iteration: int, value: float, benchmark: str = "exam") -> dict[str, Any]:
    cell = {"value": value, "low": value - 2, "high": value + 3, "num": 100}
    return {
        "id": f"run-{iteration}",
        "benchmark": benchmark,
        "kind": "scienceqa",
        "iteration": iteration,
        "settings": SETTINGS,
        "scores": {"AVG": cell},
        "created_at": "2026-01-01",
    }


def measured(*found: dict[str, Any]) -> list[Measured]:
    cell = {"value": 81.0, "low": 79.25, "high": 84.5, "num": 100}
    rows = [
        {"label": f"mine {HOSTILE}", "source": "measured", "cells": [None, cell], "note": "paused"},
        {
            "label": "CoMD-7B",
            "source": "paper",
            "cells": [None, cell | {"low": None, "high": None}],
            "note": "",
        },
    ]
    table = ScoreTable.model_validate(
        {"title": "exam", "unit": "% correct", "columns": ["NAT", "AVG"], "rows": rows}
    )
    return [Measured(curve, table, "a,b\r\n", "\\toprule") for curve in score_curves(found)]


def test_the_figure_has_every_score_its_interval_and_the_papers_lines() -> None:
    figure = benchmarks.figure(measured(evaluation(1, 90.0), evaluation(0, 80.0)))
    (panel,) = figure.panels
    assert panel.lines["AVG"] == [(0.0, 80.0), (1.0, 90.0)]
    assert panel.lines["CoMD-7B (paper)"] == [(0.0, 91.94), (1.0, 91.94)]
    assert panel.intervals == [(0.0, 78.0, 83.0), (1.0, 88.0, 93.0)]
    assert figure.rows == [
        ("exam", "by letter, temperature 0.5", 0, 80.0, 78.0, 83.0, 100),
        ("exam", "by letter, temperature 0.5", 1, 90.0, 88.0, 93.0, 100),
    ]
    (alone,) = benchmarks.figure(measured(evaluation(3, 50.0))).panels
    assert alone.lines["CoMD-7B (paper)"] == [(3.0, 91.94), (4.0, 91.94)]  # a line, though there is one point


def test_it_is_drawn_for_print_and_for_the_page(tmp_path: Path) -> None:
    found = measured(evaluation(0, 80.0), evaluation(1, 90.0), evaluation(1, 40.0, "other $x^{2$"))
    for path in draw(benchmarks.figure(found), tmp_path):
        assert path.stat().st_size
    page = render(Material(report(START), {}, (), picture, found), "Title", "Subtitle")
    assert page.count('class="interval"') == 3
    assert "81.00 (79.2 to 84.5)" in page or "81.00 (79.3 to 84.5)" in page
    assert "CoMD-7B</bdi> (the paper)" in page
    assert "mine =cmd" in page
    assert "<script" not in page
    plain = render(Material(report(START), {}, (), picture), "Title", "Subtitle")
    assert "Benchmarks by iteration" in page
    assert "Benchmarks by iteration" not in plain


def test_each_benchmark_of_the_settings_has_lines_of_its_own() -> None:
    found = report(START)
    found["run"]["config"]["benchmarks"] = [{"benchmark": "exam", "seed": 7}, {"benchmark": "other"}]
    page = render(Material(found, {}, (), picture), "Title", "Subtitle")
    for name, value in (("1.benchmark", "exam"), ("1.seed", "7"), ("2.benchmark", "other")):
        assert f"<td>benchmarks.{name}</td><td><bdi>{value}</bdi></td>" in page


def test_an_intervals_ends_stand_where_their_numbers_are() -> None:
    found = measured(evaluation(0, 50.0))
    page = render(Material(report(), {}, (), picture, found), "Title", "Subtitle")
    svg = page[page.index("<svg") : page.index("</svg>") + 6]
    (interval,) = [one for one in ElementTree.fromstring(svg).iter() if one.get("class") == "interval"]
    heights = {
        float(one.text or 0): float(one.get("y", 0)) - 4
        for one in ElementTree.fromstring(svg).iter()
        if one.get("text-anchor") == "end" and (one.text or "").isdigit()
    }
    low, high = min(heights), max(heights)
    per_cent = (heights[low] - heights[high]) / (high - low)
    ends = [low + (heights[low] - float(interval.get(name, 0))) / per_cent for name in ("y1", "y2")]
    assert [round(end, 1) for end in ends] == [48.0, 53.0]


class Many:
    """A coordinator's evaluations of a run that was measured very often."""

    def __init__(self, num: int):
        self.num = num
        self.asked: list[tuple[str, ...]] = []

    def list(self, run: str) -> list[Any]:
        rows = [evaluation(number, 50.0) for number in range(self.num)]
        return [SimpleNamespace(model_dump=lambda mode, row=row: row) for row in rows]

    def table(self, first: str, beside: Sequence[str]) -> ScoreTable:
        self.asked.append((first, *beside))
        return ScoreTable(title="exam", unit="%", columns=[], rows=[])

    def table_text(self, first: str, beside: Sequence[str], form: str) -> str:
        self.asked.append((first, *beside))
        return form


def test_of_more_iterations_than_a_table_holds_it_has_the_last() -> None:
    many = Many(MOST_BESIDE + 3)
    client: Any = SimpleNamespace(evaluations=many)
    (found,) = benchmarks.measured(client, "run")
    assert (len(found.curve.rows), found.csv, found.latex) == (MOST_BESIDE + 3, "csv", "latex")
    assert {(asked[0], asked[-1], len(asked)) for asked in many.asked} == {
        ("run-2", f"run-{MOST_BESIDE + 2}", MOST_BESIDE + 1)
    }


def test_names_that_are_alike_have_files_of_their_own(tmp_path: Path) -> None:
    found = measured(evaluation(0, 50.0, "../exam"), evaluation(0, 50.0, "Exam!"))
    names = [path.name for path in benchmarks.write_tables(tmp_path, found)]
    assert names == [
        f"benchmark-exam-by-letter-temperature-0-5{more}.{ending}"
        for more in ("", "-2")
        for ending in ("csv", "tex")
    ]
    assert (tmp_path / names[0]).read_bytes() == b"a,b\r\n"
