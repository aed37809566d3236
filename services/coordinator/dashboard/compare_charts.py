"""What two runs, or two assessments, look like beside each other. Pure.

In: both sides' iterations, sums of verdicts, settings. Out: charts, rows of numbers, the settings that differ.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.coordinator.dashboard.charts import Chart, bars, lines
from services.coordinator.dashboard.run_charts import SCORES, TENTHS
from shared.types import JsonObject

Names = tuple[str, str]
CURVES = (  # column, title, unit, the scale's end
    ("heldout_accuracy", "Held-out accuracy by iteration", "share", 1.0),
    ("train_loss", "Training loss by iteration", "number", None),
    ("mean_difficulty", "Mean difficulty by iteration", "number", None),
    ("accepted", "New instructions accepted by iteration", "count", None),
    ("spent", "Cost by iteration", "number", None),
)


def by_iteration(a: Sequence[JsonObject], b: Sequence[JsonObject]) -> list[JsonObject]:
    """Every iteration that either has, with both rows; None where it is not there."""
    sides = [{row["number"]: row for row in rows} for rows in (a, b)]
    numbers = sorted({*sides[0], *sides[1]})
    return [{"number": number, "a": sides[0].get(number), "b": sides[1].get(number)} for number in numbers]


def curves(names: Names, rounds: Sequence[JsonObject]) -> list[Chart]:
    """Both runs together, of each measure that either has."""
    labels = [str(row["number"]) if row["number"] else "start" for row in rounds]
    found = []
    for column, title, unit, most in CURVES:
        series = {
            name: [None if row[side] is None else row[side][column] for row in rounds]
            for name, side in zip(names, ("a", "b"), strict=True)
        }
        if any(value for values in series.values() for value in values):
            found.append(lines(title, series, labels, unit=unit, most=most))
    return found


def distributions(names: Names, sums: tuple[JsonObject | None, JsonObject | None]) -> list[Chart]:
    """Difficulty and both roles' scores, one assessment beside the other."""
    known = {name: one for name, one in zip(names, sums, strict=True) if one is not None}
    parts = (
        ("Difficulty", "difficulty", TENTHS),
        ("Student's scores", "student", SCORES),
        ("Teacher's scores", "teacher", SCORES),
    )
    return [
        bars(title, {name: one[what] for name, one in known.items()}, labels)
        for title, what, labels in parts
        if known
    ]


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """The settings with different values, by their keys; None where one has none."""
    ours, theirs = dict(_flat(a)), dict(_flat(b))
    return [
        (key, ours.get(key), theirs.get(key))
        for key in sorted({*ours, *theirs})
        if ours.get(key) != theirs.get(key)
    ]


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value
