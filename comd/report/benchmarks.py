"""A run's benchmarks for its report. In: its evaluations and their tables. Out: a figure, the page's tables, files.

Each benchmark and way of asking has a curve over the iterations, between the paper's teacher and student.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comd.client import Client
from comd.report.figure import Cell, Figure, Panel
from comd.report.wording import label
from services.coordinator.api.evaluation_shapes import MOST_BESIDE, ScoreCell, ScoreTable
from services.coordinator.score_curves import ScoreCurve, score_curves


@dataclass(frozen=True)
class Measured:
    """One curve, with its table: a row an iteration, then the paper's; as numbers, CSV and LaTeX."""

    curve: ScoreCurve
    table: ScoreTable
    csv: str
    latex: str


def measured(client: Client, run_id: str) -> list[Measured]:
    """What the coordinator has of a run's students."""
    found = [row.model_dump(mode="json") for row in client.evaluations.list(run=run_id)]
    return [_measured(client, curve) for curve in score_curves(found)]


def _measured(client: Client, curve: ScoreCurve) -> Measured:
    first, *beside = [row["id"] for row in curve.rows[-1 - MOST_BESIDE :]]
    ask = client.evaluations
    return Measured(
        curve,
        ask.table(first, beside),
        ask.table_text(first, beside, "csv"),
        ask.table_text(first, beside, "latex"),
    )


def figure(found: Sequence[Measured]) -> Figure:
    """A panel for each curve."""
    numbers: list[tuple[Cell, ...]] = []
    for one in found:
        for row, cell in zip(one.curve.rows, one.curve.cells, strict=True):
            bounds = (cell["value"], cell["low"], cell["high"], cell["num"])
            numbers.append((one.curve.benchmark, one.curve.asked, row["iteration"], *bounds))
    note = "With 95 % bootstrap intervals over the questions. The level lines are the paper's results."
    columns = ("benchmark", "asked", "iteration", "score", "low", "high", "questions")
    return Figure(
        "benchmarks", "Benchmarks by iteration", [_panel(one.curve) for one in found], columns, numbers, note
    )


def _panel(curve: ScoreCurve) -> Panel:
    at = [float(row["iteration"]) for row in curve.rows]
    ends = (min(at), max(max(at), min(at) + 1))
    name = label(curve.column)
    return Panel(
        "iteration",
        f"{name} (%)",
        label(curve.title, 60),
        lines={
            name: [(x, cell["value"]) for x, cell in zip(at, curve.cells, strict=True)],
            **{f"{who} (paper)": [(x, value) for x in ends] for who, value in curve.paper.items()},
        },
        intervals=[(x, cell["low"], cell["high"]) for x, cell in zip(at, curve.cells, strict=True)],
        main=name,
        at=at,
        from_zero=False,
    )


def page_tables(found: Sequence[Measured]) -> list[dict[str, Any]]:
    """As the page has them: a title, the columns, and rows of words."""
    return [
        {
            "title": one.curve.title,
            "unit": one.table.unit,
            "columns": one.table.columns,
            "rows": [
                (
                    row.source,
                    " ".join(filter(None, (row.label, row.note))),
                    [_told(cell) for cell in row.cells],
                )
                for row in one.table.rows
            ],
        }
        for one in found
    ]


def _told(cell: ScoreCell | None) -> str:
    if cell is None or cell.value is None:
        return "-"
    if cell.low is None or cell.high is None:
        return f"{cell.value:.2f}"
    return f"{cell.value:.2f} ({cell.low:.1f} to {cell.high:.1f})"


def write_tables(folder: Path, found: Sequence[Measured]) -> list[Path]:
    """`benchmark-NAME.csv` and `.tex` of each curve."""
    files: list[Path] = []
    taken = Counter[str]()
    for one in found:
        name = re.sub(r"[^a-z0-9]+", "-", one.curve.title.lower()).strip("-")
        taken[name] += 1
        name += f"-{taken[name]}" if taken[name] > 1 else ""
        for ending, text in (("csv", one.csv), ("tex", one.latex)):
            path = folder / f"benchmark-{name}.{ending}"
            path.write_text(text, encoding="utf-8", newline="")
            files.append(path)
    return files
