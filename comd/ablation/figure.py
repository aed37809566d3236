"""An ablation's figure. In: its summary. Out: ablation.png and .svg, arms on the left, the base by iteration beside."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from comd.ablation.intervals import Interval
from comd.ablation.summary import Row, Step, Summary
from comd.report.drawing import COLOURS, sheet

NAME = "ablation"
ACCURACY = "held-out accuracy (share)"


def draw_summary(summary: Summary, folder: Path) -> list[Path]:
    """The files that were written. Markers are means over seeds, whiskers their 95 % intervals."""
    with sheet(folder / NAME, 1, 2) as (left, right):
        _arms(summary.arms, left)
        _iterations(summary.iterations, right)
    return [folder / f"{NAME}.png", folder / f"{NAME}.svg"]


def _arms(rows: Sequence[Row], axes: Any) -> None:
    """From above in the order of the file; the line is the base's mean."""
    places = range(len(rows))
    values = [row.accuracy for row in rows]
    axes.axvline(values[0].value, color="0.7", linewidth=0.6, zorder=1)
    axes.errorbar(
        [one.value for one in values], places, xerr=_whiskers(values), fmt="o", color=COLOURS[0], capsize=2
    )
    axes.set_yticks(list(places), [row.arm + ("*" if row.exhausted else "") for row in rows])
    axes.invert_yaxis()
    axes.set(xlabel=ACCURACY, title="after the last training")


def _iterations(steps: Sequence[Step], axes: Any) -> None:
    numbers = [step.iteration for step in steps]
    values = [step.accuracy for step in steps]
    axes.errorbar(
        numbers,
        [one.value for one in values],
        yerr=_whiskers(values),
        marker="o",
        color=COLOURS[0],
        capsize=2,
    )
    axes.set_xticks(numbers)
    axes.set(xlabel="training", ylabel=ACCURACY, title="the base arm", ylim=(0, 1))


def _whiskers(values: Sequence[Interval]) -> tuple[list[float], list[float]]:
    """How far the interval reaches below and above; a skewed bootstrap may leave its mean outside by a hair."""
    below = [max(0.0, one.value - one.low) for one in values]
    above = [max(0.0, one.high - one.value) for one in values]
    return below, above
