"""The curves of all trainings of a run, one behind the other along its steps. Pure.

In: points of each iteration, thinned to what a chart's width can show. Out: charts of loss and learning rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from services.coordinator.dashboard.charts import (
    BOTTOM,
    LEFT,
    RIGHT,
    Chart,
    Label,
    Line,
    heights,
    place_of,
    scale,
    tick_text,
)
from shared.types import JsonObject

MOST_POINTS = 240  # of a chart: closer than two units of its width they cannot be told apart
SIZE = (460.0, 210.0)
ROOM = 26.0  # a section's name needs so much


@dataclass(frozen=True)
class Section:
    """One training: where its steps begin along the run, how many there are, and its points."""

    iteration: int
    begins: int
    steps: int
    points: Sequence[JsonObject]

    @property
    def name(self) -> str:
        return str(self.iteration) if self.iteration else "stage 1"


def sections(points: Sequence[JsonObject]) -> list[Section]:
    """The trainings in their order, each behind the last step of the one before."""
    found: list[Section] = []
    for iteration, group in groupby(points, key=itemgetter("iteration")):
        own = list(group)
        begins = found[-1].begins + found[-1].steps if found else 0
        found.append(Section(iteration, begins, own[-1]["step"], own))
    return found


def curves(points: Sequence[JsonObject]) -> list[Chart]:
    """Loss, and the learning rate where the trainer said one; none before the first step."""
    parts = sections(points)
    charts = [_chart("Training loss by step", "loss", parts)] if parts else []
    if any(point["learning_rate"] is not None for point in points):
        charts.append(_chart("Learning rate by step", "learning_rate", parts))
    return charts


def _chart(title: str, what: str, parts: Sequence[Section]) -> Chart:
    width, height = SIZE
    total = parts[-1].begins + parts[-1].steps
    top, ticks = scale(max(value for part in parts for value in _values(part, what)))
    lines = [
        Line(
            tuple(
                (_x(part.begins + point["step"], total), place_of(point[what], top, height))
                for point in part.points
                if point[what] is not None
            ),
            "series-1" if part.iteration == 0 else "series-0 thin",
            (),
        )
        for part in parts
    ]
    return Chart(
        title,
        _summary(what, parts),
        width,
        height,
        rules=[place_of(tick, top, height) for tick in ticks],
        lines=lines,
        labels=[*heights(ticks, top, height, "number"), *_names(parts, total), *_steps(total)],
        borders=[_x(part.begins, total) for part in parts[1:]],
        legend={},
    )


def _x(step: float, total: int) -> float:
    return LEFT + step / total * (SIZE[0] - LEFT - RIGHT)


def _values(part: Section, what: str) -> list[float]:
    return [point[what] for point in part.points if point[what] is not None]


def _names(parts: Sequence[Section], total: int) -> list[Label]:
    """The iteration above each section that has room for it."""
    found, free_from = [], 0.0
    for part in parts:
        begins, ends = _x(part.begins, total), _x(part.begins + part.steps, total)
        if begins >= free_from and ends - begins >= (ROOM if part.iteration == 0 else ROOM / 2):
            found.append(Label((begins + ends) / 2, 9, part.name, "middle"))
            free_from = begins + ROOM / 2
    return found


def _steps(total: int) -> list[Label]:
    """Round numbers of steps below."""
    _, ticks = scale(total)
    at = [tick for tick in ticks if tick <= total]
    return [Label(_x(tick, total), SIZE[1] - BOTTOM + 18, tick_text(tick, "count"), "middle") for tick in at]


def _summary(what: str, parts: Sequence[Section]) -> str:
    said = []
    for part in parts:
        values = _values(part, what)
        if values:
            said.append(f"{_long(part)}: {part.steps:,} steps, from {values[0]:.3g} to {values[-1]:.3g}")
    return "; ".join(said)


def _long(part: Section) -> str:
    return f"iteration {part.iteration}" if part.iteration else part.name
