"""Points of a training's curve from a job's events. Pure. In: events as OpenAI's API gives them, newest first.

Out: the points that are not kept yet, oldest first. A job that went back to an earlier step says its steps again: the
later word counts, and what it had said of the steps behind counts no more.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from shared.types import JsonObject


@dataclass(frozen=True)
class Point:
    """What a trainer said of one optimizer step; None where it says no learning rate."""

    step: int
    loss: float
    learning_rate: float | None

    @classmethod
    def of_event(cls, event: JsonObject) -> "Point | None":
        """None for an event about anything else. OpenAI's own name for the loss is `train_loss`."""
        data = event.get("data")
        if not isinstance(data, dict):
            return None
        step, rate = data.get("step"), _number(data.get("learning_rate"))
        loss = _number(data.get("loss", data.get("train_loss")))
        if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step < 2**63 or loss is None:
            return None
        return cls(step, loss, rate)


def behind(known: Point | None, newest_first: Iterable[Point]) -> list[Point]:
    """The points that came after the one known, oldest first, each step once.

    Where the known one is not met, all are given: the newest kept point was then said of a step that was taken back.
    """
    found: list[Point] = []
    for point in newest_first:
        if point == known:
            break
        found.append(point)
    return _as_taken(reversed(found))


def _as_taken(points: Iterable[Point]) -> list[Point]:
    """Without the steps that were taken back by a later return to an earlier step."""
    taken: list[Point] = []
    for point in points:
        while taken and taken[-1].step >= point.step:
            taken.pop()
        taken.append(point)
    return taken


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None
