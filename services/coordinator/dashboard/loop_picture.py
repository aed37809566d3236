"""The loop of a run as a picture: its stations, and what went from each to the next. Pure.

In: the newest iteration and the run's progress. Out: stations with their state, arrows with their counts.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from services.coordinator.states import Phase
from shared.types import JsonObject

State = Literal["done", "active", "waiting"]
STATIONS = (  # name, what happens there, its phases
    ("Teacher", ("answers", "each question"), ("teaching",)),
    ("Training", ("the student", "learns them"), ("training", "pretraining")),
    ("Exam", ("held-out", "questions"), ("evaluating",)),
    ("Judge", ("compares", "both answers"), ("assessing",)),
    ("Selection", ("hard ones,", "as many easy"), ("selecting",)),
    ("Augmentor", ("writes new", "questions"), ("augmenting",)),
)
ORDER = get_args(Phase)  # as they come, `complete` behind all others


@dataclass(frozen=True)
class Station:
    name: str
    note: tuple[str, str]
    state: State


@dataclass(frozen=True)
class Arrow:
    """From one station to the next; no count where nothing is known yet."""

    count: int | None
    what: str


@dataclass(frozen=True)
class Loop:
    iteration: int
    stations: tuple[Station, ...]
    arrows: tuple[Arrow, ...]  # into each station
    written: int | None  # from the last back to the first: the next iteration's tuning pool


def loop(iteration: JsonObject | None, progress: JsonObject, *, has_exam: bool) -> Loop:
    """The newest iteration's way round; before the first one nothing has moved."""
    row = iteration or {}
    ways = [
        (Station(name, note, _state(phases, row.get("phase"))), arrow)
        for (name, note, phases), arrow in zip(STATIONS, _arrows(row, progress), strict=True)
        if has_exam or name != "Exam"
    ]
    return Loop(
        row.get("number", 0),
        tuple(station for station, _ in ways),
        tuple(arrow for _, arrow in ways),
        _written(row, progress),
    )


def _state(phases: tuple[str, ...], now: str | None) -> State:
    if now in phases:
        return "active"
    if now is None:
        return "waiting"
    is_past = ORDER.index(now) > max(ORDER.index(phase) for phase in phases)
    return "done" if is_past else "waiting"


def _arrows(row: JsonObject, progress: JsonObject) -> tuple[Arrow, ...]:
    """Into each of the stations; what goes on just now counts as far as it is."""
    done = {progress.get("phase"): progress.get("done")}
    is_selected = row.get("difficult") is not None
    selected = row["difficult"] + (row.get("easy") or 0) if is_selected else None
    return (
        Arrow(row.get("tuning_pool"), "questions"),
        Arrow(done.get("teaching") if row.get("phase") == "teaching" else _answered(row), "answers"),
        Arrow(None, "weights"),
        Arrow(row.get("cache_pool"), "to judge"),
        Arrow(row["cache_pool"] - (row["unjudged"] or 0) if is_selected else done.get("assessing"), "judged"),
        Arrow(selected, "selected"),
    )


def _answered(row: JsonObject) -> int | None:
    """The tuning pool without those that got no answer."""
    ended = (row.get("endings") or {}).get("teaching") or {}
    pool = row.get("tuning_pool")
    return None if pool is None else pool - ended.get("failed", 0)


def _written(row: JsonObject, progress: JsonObject) -> int | None:
    if row.get("phase") != "augmenting":
        return row.get("accepted")
    return progress.get("done") if progress.get("phase") == "augmenting" else None
