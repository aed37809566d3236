"""A run's scores on its benchmarks by iteration, between the paper's. Pure. In: evaluations. Out: charts with links."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.coordinator.benchmarks.paper import STUDENT, TEACHER
from services.coordinator.dashboard.charts import BOTTOM, LEFT, RIGHT, TOP, Chart, Label, Line
from services.coordinator.score_curves import ScoreCurve, score_curves
from shared.types import JsonObject

WIDTH, HEIGHT = 460.0, 210.0
CAP = 5.0  # half the width of an interval's ends
PAPER = ((TEACHER, "paper series-2"), (STUDENT, "paper series-3"))


@dataclass(frozen=True)
class ScoreChart:
    """One benchmark measured in one way; `links` are the evaluations with the iteration that each is of."""

    chart: Chart
    links: tuple[tuple[str, str], ...]


def score_charts(rows: Sequence[JsonObject]) -> list[ScoreChart]:
    """A chart for each benchmark and way of asking."""
    return [_chart(curve) for curve in score_curves(rows)]


def _chart(curve: ScoreCurve) -> ScoreChart:
    cells, paper = curve.cells, curve.paper
    labels = ["start" if row["iteration"] == 0 else str(row["iteration"]) for row in curve.rows]
    axis = Axis.around([*(cell[end] for cell in cells for end in ("low", "high", "value")), *paper.values()])
    slot = (WIDTH - LEFT - RIGHT) / len(cells)
    places = [LEFT + (at + 0.5) * slot for at in range(len(cells))]
    tips = tuple(f"{label}: {_told(cell)}" for label, cell in zip(labels, cells, strict=True))
    points = tuple((x, axis.place(cell["value"])) for x, cell in zip(places, cells, strict=True))
    said_of_paper = [f"{name} (paper): {value:.2f}" for name, value in paper.items()]
    return ScoreChart(
        Chart(
            curve.title,
            f"{curve.column}, per cent. {'; '.join([*tips, *said_of_paper])}",
            WIDTH,
            HEIGHT,
            rules=[axis.place(tick) for tick in axis.ticks],
            lines=[
                *_paper_lines(paper, axis),
                *(_interval(x, cell, axis) for x, cell in zip(places, cells, strict=True)),
                Line(points, "series-0 thin", tips),
            ],
            labels=[
                *(Label(LEFT - 8, axis.place(tick) + 4, f"{tick:g}", "end") for tick in axis.ticks),
                *(Label(x, HEIGHT - 8, label, "middle") for x, label in zip(places, labels, strict=True)),
            ],
            legend={
                "series-0": curve.column,
                **{style.split()[-1]: f"{name}, the paper" for name, style in PAPER},
            },
        ),
        tuple((label, row["id"]) for label, row in zip(labels, curve.rows, strict=True)),
    )


@dataclass(frozen=True)
class Axis:
    """From `low` to `high` in per cent: as much as the values need, since points matter and zero does not."""

    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def around(cls, values: Sequence[float]) -> "Axis":
        span = max(values) - min(values)
        step = next(step for step in (20, 10, 5, 2, 1) if span >= 2 * step or step == 1)
        first, last = int(min(values) // step), -int(-max(values) // step)
        last = max(last, first + 1)
        return cls(first * step, last * step, tuple(step * at for at in range(first, last + 1)))

    def place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _paper_lines(paper: dict[str, float], axis: Axis) -> list[Line]:
    ends = (LEFT, WIDTH - RIGHT)
    return [
        Line(tuple((x, axis.place(paper[name])) for x in ends), style, ())
        for name, style in PAPER
        if name in paper
    ]


def _interval(x: float, cell: JsonObject, axis: Axis) -> Line:
    """An upright line with a short one across at each end."""
    low, high = axis.place(cell["low"]), axis.place(cell["high"])
    ends = ((x - CAP, low), (x + CAP, low), (x, low), (x, high), (x - CAP, high), (x + CAP, high))
    return Line(ends, "series-0 interval", ())


def _told(cell: JsonObject) -> str:
    return f"{cell['value']:.2f} ({cell['low']:.2f} to {cell['high']:.2f})"
