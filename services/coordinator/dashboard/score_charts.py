"""A run's scores on its benchmarks by iteration, between the paper's. Pure. In: evaluations. Out: charts with links."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.coordinator.benchmarks.items import COLUMNS, Kind
from services.coordinator.benchmarks.paper import STUDENT, TEACHER, paper_rows
from services.coordinator.dashboard.charts import BOTTOM, LEFT, RIGHT, TOP, Chart, Label, Line
from services.coordinator.dashboard.evaluations import how
from shared.types import JsonObject

WIDTH, HEIGHT = 460.0, 210.0
CAP = 5.0  # half the width of an interval's ends
PAPER = ((TEACHER, "paper series-2"), (STUDENT, "paper series-3"))


@dataclass(frozen=True)
class ScoreCurve:
    """One benchmark measured in one way; `links` are the evaluations with the iteration that each is of."""

    chart: Chart
    links: tuple[tuple[str, str], ...]


def score_curves(rows: Sequence[JsonObject]) -> list[ScoreCurve]:
    """A curve for each benchmark and way of asking; of an iteration that was measured twice the newer counts."""
    ways: dict[tuple[str, str, str], dict[int, JsonObject]] = {}
    for row in rows:
        overall = (row["scores"] or {}).get(COLUMNS[row["kind"]][-1])
        if row["iteration"] is not None and overall and overall["value"] is not None:
            way = (row["benchmark"], row["kind"], how(row["kind"], row["settings"]))
            known = ways.setdefault(way, {}).get(row["iteration"])
            if known is None or known["created_at"] < row["created_at"]:
                ways[way][row["iteration"]] = row
    return [_curve(f"{name}, {said}", of) for (name, _, said), of in sorted(ways.items())]


def _curve(title: str, by_iteration: dict[int, JsonObject]) -> ScoreCurve:
    rows = [row for _, row in sorted(by_iteration.items())]
    kind: Kind = rows[0]["kind"]
    overall = COLUMNS[kind][-1]
    cells = [row["scores"][overall] for row in rows]
    labels = ["start" if row["iteration"] == 0 else str(row["iteration"]) for row in rows]
    paper = _paper(kind)
    axis = Axis.around([*(cell[end] for cell in cells for end in ("low", "high", "value")), *paper.values()])
    slot = (WIDTH - LEFT - RIGHT) / len(rows)
    places = [LEFT + (at + 0.5) * slot for at in range(len(rows))]
    tips = tuple(f"{label}: {_told(cell)}" for label, cell in zip(labels, cells, strict=True))
    points = tuple((x, axis.place(cell["value"])) for x, cell in zip(places, cells, strict=True))
    said_of_paper = [f"{name} (paper): {value:.2f}" for name, value in paper.items()]
    return ScoreCurve(
        Chart(
            title,
            f"{overall}, per cent. {'; '.join([*tips, *said_of_paper])}",
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
                "series-0": overall,
                **{style.split()[-1]: f"{name}, the paper" for name, style in PAPER},
            },
        ),
        tuple((label, row["id"]) for label, row in zip(labels, rows, strict=True)),
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


def _paper(kind: Kind) -> dict[str, float]:
    """The paper's teacher and student over all questions."""
    found = {row.label: row.cells[-1] for row in paper_rows(kind)}
    return {name: cell.value for name, _ in PAPER if (cell := found[name]) and cell.value is not None}


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
