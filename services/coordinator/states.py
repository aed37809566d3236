"""The names of every state, and the one table that says which may follow which. Pure.

Run: created -> running <-> paused, and its ends. Iteration: its phases in order; 0 is the start measurement.
"""

from dataclasses import dataclass
from typing import Literal

from shared.errors import Conflict

RunStatus = Literal["created", "running", "paused", "finished", "exhausted", "cancelled", "failed"]
Phase = Literal[
    "pretraining",
    "teaching",
    "training",
    "evaluating",
    "trained",
    "assessing",
    "selecting",
    "augmenting",
    "complete",
]
TaskState = Literal["todo", "published", "leased", "done", "failed"]

RUN_TRANSITIONS: dict[RunStatus, frozenset[RunStatus]] = {
    "created": frozenset({"running", "cancelled"}),
    "running": frozenset({"paused", "finished", "exhausted", "cancelled", "failed"}),
    "paused": frozenset({"running", "cancelled"}),
    "finished": frozenset({"running", "cancelled"}),  # asked for more trainings
    "failed": frozenset({"running", "cancelled"}),  # resumed after its cause was mended
    "exhausted": frozenset(),
    "cancelled": frozenset(),
}
START_PHASES: tuple[Phase, ...] = ("pretraining", "evaluating", "complete")
LOOP_PHASES: tuple[Phase, ...] = (
    "teaching",
    "training",
    "evaluating",
    "trained",
    "assessing",
    "selecting",
    "augmenting",
    "complete",
)
RESTING: frozenset[Phase] = frozenset({"trained", "complete"})


@dataclass(frozen=True)
class Plan:
    """What of a run decides the order of its phases."""

    has_pretraining: bool
    has_evaluation: bool
    target: int  # trainings asked for


def check_transition(before: RunStatus, after: RunStatus) -> None:
    """Conflict where a run may not go from one status to the other."""
    if after not in RUN_TRANSITIONS[before]:
        allowed = ", ".join(sorted(RUN_TRANSITIONS[before])) or "nothing"
        raise Conflict(f"the run is {before}; from there it can become {allowed}, not {after}")


def first_phase(number: int, plan: Plan) -> Phase:
    """The phase in which an iteration starts."""
    phases = START_PHASES if number == 0 else LOOP_PHASES
    return next(phase for phase in phases if not _is_left_out(number, phase, plan))


def next_phase(number: int, phase: Phase, plan: Plan) -> Phase | None:
    """What follows a phase that is over; None where the iteration rests there.

    The last training rests in `trained` until more trainings are asked for.
    """
    if phase == "complete" or (phase == "trained" and number >= plan.target):
        return None
    phases = START_PHASES if number == 0 else LOOP_PHASES
    later = phases[phases.index(phase) + 1 :]
    return next(after for after in later if not _is_left_out(number, after, plan))


def _is_left_out(number: int, phase: Phase, plan: Plan) -> bool:
    if phase == "pretraining":
        return not plan.has_pretraining
    if phase == "evaluating":
        return not plan.has_evaluation
    return phase == "trained" and number < plan.target
