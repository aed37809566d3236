"""Scores of a model on a benchmark. In: a mark for each item. Out: a cell for each column of the paper's table, in
per cent, with its 95 % interval by bootstrap over items. The order of the marks changes nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from services.coordinator.benchmarks import bootstrap
from services.coordinator.benchmarks.bootstrap import Interval
from services.coordinator.benchmarks.items import COLUMNS, Kind


@dataclass(frozen=True)
class Mark:
    """What one item brought.

    `value`: 1.0 or 0.0 for a choice; for the LLaVA test set the judge's score of the model, and `reference` that of
    the reference answer. None: not measured, and left out.
    """

    item_id: int
    groups: tuple[str, ...]
    value: float | None
    reference: float | None = None


@dataclass(frozen=True)
class Cell:
    """Per cent; `low` and `high` are the 95 % interval, None where there is none; `num` items are behind it."""

    value: float | None
    low: float | None
    high: float | None
    num: int | None


def scores(kind: Kind, marks: Iterable[Mark], seed: int) -> dict[str, Cell]:
    """A cell for each column: the share of right answers, or the model's mean score against the reference's."""
    known = _measured(kind, marks)
    cells = {}
    for place, column in enumerate(COLUMNS[kind]):
        here = [mark for mark in known.values() if _counts(mark, kind, column)]
        pairs = [_pair(mark) for mark in here]
        cells[column] = _cell(bootstrap.ratio(pairs, [seed, place]), len(pairs))
    return cells


def differences(kind: Kind, ours: Iterable[Mark], theirs: Iterable[Mark], seed: int) -> dict[str, Cell]:
    """Ours minus theirs in points, over the items that both have: both are drawn together, so it is paired."""
    our, their = _measured(kind, ours), _measured(kind, theirs)
    common = [(mark, their[item_id]) for item_id, mark in our.items() if item_id in their]
    cells = {}
    for place, column in enumerate(COLUMNS[kind]):
        here = [(_pair(one), _pair(other)) for one, other in common if _counts(one, kind, column)]
        cells[column] = _cell(bootstrap.difference(here, [seed, place]), len(here))
    return cells


def _measured(kind: Kind, marks: Iterable[Mark]) -> dict[int, Mark]:
    """By item; of the LLaVA test set what has both scores."""
    needs_reference = kind == "llava-bench"
    return {
        mark.item_id: mark
        for mark in marks
        if mark.value is not None and (mark.reference is not None or not needs_reference)
    }


def _counts(mark: Mark, kind: Kind, column: str) -> bool:
    return column == COLUMNS[kind][-1] or column in mark.groups


def _pair(mark: Mark) -> tuple[float, float]:
    """What was reached, and out of what: a right answer out of one, or a score out of the reference's."""
    assert mark.value is not None
    return mark.value, 1.0 if mark.reference is None else mark.reference


def _cell(interval: Interval | None, num: int) -> Cell:
    if interval is None:
        return Cell(None, None, None, 0)
    return Cell(interval.value, interval.low, interval.high, num)
