"""The names of every state, and the tables that say which may follow which. Pure.

Run: created -> running <-> paused, and its ends. Iteration: its phases in order; 0 is the start measurement.
An evaluation is a run of another kind: it has iteration 0 alone, which measures one model on one benchmark.
Task: one image in one phase, as the queue and the workers see it.
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
    "measuring",
]
RunKind = Literal["training", "evaluation"]
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
PHASE_TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    "pretraining": frozenset({"evaluating", "complete"}),
    "teaching": frozenset({"training"}),
    "training": frozenset({"evaluating", "trained", "assessing"}),
    "evaluating": frozenset({"trained", "assessing", "complete"}),
    "trained": frozenset({"assessing"}),  # asked for more trainings
    "assessing": frozenset({"selecting"}),
    # complete: nothing was selected, or nothing new is to be written
    "selecting": frozenset({"augmenting", "complete"}),
    "augmenting": frozenset({"complete"}),
    "measuring": frozenset({"complete"}),
    "complete": frozenset(),
}
TASK_TRANSITIONS: dict[TaskState, frozenset[TaskState]] = {
    "todo": frozenset({"published", "leased"}),
    "published": frozenset(
        {"leased", "todo"}
    ),  # todo: the queue was lost, or the task is not wanted just now
    "leased": frozenset({"done", "failed", "todo", "published", "leased"}),  # the last two: its lease ran out
    "done": frozenset({"todo"}),  # planned again, because its image still lacks something
    "failed": frozenset({"todo"}),  # its failures are tried again
}
START_PHASES: tuple[Phase, ...] = ("pretraining", "evaluating", "complete")
MEASURING_PHASES: tuple[Phase, ...] = ("measuring", "complete")
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
TASKED: frozenset[Phase] = frozenset({"teaching", "evaluating", "assessing", "augmenting", "measuring"})
UNTRAINED: frozenset[Phase] = frozenset({"pretraining", "teaching", "training", "evaluating"})


@dataclass(frozen=True)
class Plan:
    """What of a run decides the order of its phases."""

    has_pretraining: bool
    has_evaluation: bool
    target: int  # trainings asked for
    repeats: bool = False  # the selected ones are trained on again, and nothing new is written
    kind: RunKind = "training"


@dataclass(frozen=True)
class Step:
    """What follows a phase that is over."""

    phase: Phase | None  # the iteration's next; None: it stays where it rests
    begins: Phase | None = None  # of the next iteration, which begins now
    ends: RunStatus | None = None  # of the run


def check_transition(before: RunStatus, after: RunStatus) -> None:
    """Conflict where a run may not go from one status to the other."""
    if after not in RUN_TRANSITIONS[before]:
        allowed = ", ".join(sorted(RUN_TRANSITIONS[before])) or "nothing"
        raise Conflict(f"the run is {before}; from there it can become {allowed}, not {after}")


def check_phase(before: Phase, after: Phase) -> None:
    """An iteration goes forward only; anything else is our own mistake."""
    assert after in PHASE_TRANSITIONS[before], f"no iteration goes from {before} to {after}"


def step(number: int, phase: Phase, plan: Plan, *, exhausted: bool = False) -> Step:
    """The way on from a phase that is over: the next phase, the next iteration, or the run's end."""
    if exhausted:
        return Step("complete", ends="exhausted")
    after = next_phase(number, phase, plan)
    if plan.kind == "evaluation":
        return Step(after, ends="finished")
    if after is None and number >= plan.target:
        return Step(None, ends="finished")
    if after in {None, "complete"}:
        return Step(after, begins=first_phase(number + 1, plan))
    return Step(after)


def first_phase(number: int, plan: Plan) -> Phase:
    """The phase in which an iteration starts."""
    return next(phase for phase in _phases(number, plan) if not _is_left_out(number, phase, plan))


def next_phase(number: int, phase: Phase, plan: Plan) -> Phase | None:
    """What follows a phase that is over; None where the iteration rests there.

    The last training rests in `trained` until more trainings are asked for.
    """
    if phase == "complete" or (phase == "trained" and number >= plan.target):
        return None
    phases = _phases(number, plan)
    later = phases[phases.index(phase) + 1 :]
    return next(after for after in later if not _is_left_out(number, after, plan))


def _phases(number: int, plan: Plan) -> tuple[Phase, ...]:
    if plan.kind == "evaluation":
        return MEASURING_PHASES
    return START_PHASES if number == 0 else LOOP_PHASES


def _is_left_out(number: int, phase: Phase, plan: Plan) -> bool:
    if phase == "pretraining":
        return not plan.has_pretraining
    if phase == "evaluating":
        return not plan.has_evaluation
    if phase == "augmenting":
        return plan.repeats
    return phase == "trained" and number < plan.target
