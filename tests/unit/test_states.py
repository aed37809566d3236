"""The tables of transitions: the order of phases, which status may follow which, and that no run is ever stuck."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.coordinator.repositories.work import LACKING
from services.coordinator.states import (
    LOOP_PHASES,
    PHASE_TRANSITIONS,
    RESTING,
    RUN_TRANSITIONS,
    START_PHASES,
    TASK_TRANSITIONS,
    TASKED,
    UNTRAINED,
    Phase,
    Plan,
    RunStatus,
    check_phase,
    check_transition,
    first_phase,
    next_phase,
    step,
)
from shared.errors import Conflict

COORDINATOR = Path(__file__).parents[2] / "services" / "coordinator"
ENDS = {"exhausted", "cancelled"}
plans = st.builds(Plan, st.booleans(), st.booleans(), st.integers(0, 4), st.booleans())


def walk(number: int, plan: Plan) -> list[str]:
    phases = [first_phase(number, plan)]
    while (after := next_phase(number, phases[-1], plan)) is not None:
        phases.append(after)
    return list(phases)


FULL = Plan(has_pretraining=True, has_evaluation=True, target=2)
BARE = Plan(has_pretraining=False, has_evaluation=False, target=2)


def test_the_start_measurement() -> None:
    assert walk(0, FULL) == ["pretraining", "evaluating", "complete"]
    assert walk(0, BARE) == ["complete"]


def test_an_iteration_before_the_last() -> None:
    loop = ["assessing", "selecting", "augmenting", "complete"]
    assert walk(1, FULL) == ["teaching", "training", "evaluating", *loop]
    assert walk(1, BARE) == ["teaching", "training", *loop]


def test_where_nothing_new_is_written_selection_ends_the_iteration() -> None:
    repeating = replace(FULL, repeats=True)
    assert walk(1, repeating) == ["teaching", "training", "evaluating", "assessing", "selecting", "complete"]
    way_on = step(1, "selecting", repeating)
    assert (way_on.phase, way_on.begins, way_on.ends) == ("complete", "teaching", None)
    assert step(1, "selecting", repeating, exhausted=True).ends == "exhausted"


def test_the_last_training_rests_in_trained() -> None:
    assert walk(2, FULL) == ["teaching", "training", "evaluating", "trained"]
    assert walk(2, BARE) == ["teaching", "training", "trained"]


def test_asked_for_more_the_last_iteration_is_finished_first() -> None:
    more = Plan(has_pretraining=True, has_evaluation=True, target=3)
    assert step(2, "trained", FULL).ends == "finished"
    assert (step(2, "trained", more).phase, step(2, "trained", more).begins) == ("assessing", None)


def test_an_evaluation_measures_and_is_finished() -> None:
    plan = Plan(has_pretraining=False, has_evaluation=False, target=0, kind="evaluation")
    assert walk(0, plan) == ["measuring", "complete"]
    way_on = step(0, "measuring", plan)
    assert (way_on.phase, way_on.begins, way_on.ends) == ("complete", None, "finished")


@pytest.mark.parametrize("status", sorted(ENDS))
def test_final_is_final(status: RunStatus) -> None:
    assert RUN_TRANSITIONS[status] == frozenset()


@pytest.mark.parametrize(("before", "after"), [("created", "paused"), ("paused", "finished")])
def test_a_forbidden_step_names_the_allowed_ones(before: RunStatus, after: RunStatus) -> None:
    with pytest.raises(Conflict, match=f"the run is {before}.*cancelled, running"):
        check_transition(before, after)


def test_every_state_has_a_row_a_way_in_and_a_way_on_or_is_an_end() -> None:
    for table, starts, ends in (
        (RUN_TRANSITIONS, {"created"}, ENDS),
        (PHASE_TRANSITIONS, {"pretraining", "teaching", "measuring"}, {"complete"}),
        (TASK_TRANSITIONS, {"todo"}, set()),
    ):
        reached = {after for allowed in table.values() for after in allowed}  # type: ignore[attr-defined]
        assert reached | starts == set(table), "every state can be reached, and has a row"
        assert {state for state, allowed in table.items() if not allowed} == ends  # type: ignore[attr-defined]


@given(plans, st.integers(0, 5))
def test_phases_follow_their_order_and_the_table(plan: Plan, number: int) -> None:
    phases = walk(number, plan)
    order = START_PHASES if number == 0 else LOOP_PHASES
    assert phases == [phase for phase in order if phase in phases]
    assert phases[-1] in RESTING
    for before, after in itertools.pairwise(phases):
        check_phase(before, after)  # type: ignore[arg-type]
    trained = [phase for phase in phases if phase not in UNTRAINED]
    assert trained
    assessed = {"assessing", "selecting"} | ({"augmenting"} if not plan.repeats else set())
    assert set(trained) >= assessed or number in {0, *range(plan.target, 6)}


@pytest.mark.parametrize("backwards", [("training", "teaching"), ("complete", "teaching")])
def test_an_iteration_never_goes_back(backwards: tuple[Phase, Phase]) -> None:
    with pytest.raises(AssertionError, match=f"from {backwards[0]} to {backwards[1]}"):
        check_phase(*backwards)


class RunLife(RuleBasedStateMachine):
    """A run as REST and the driver move it, by the functions that they use."""

    def __init__(self) -> None:
        super().__init__()
        self.status: RunStatus = "created"
        self.plan = Plan(False, False, 0)
        self.number: int | None = None
        self.phase: Phase = "complete"
        self.history: list[tuple[int, Phase]] = []
        self.num_trained = 0

    def become(self, after: RunStatus) -> bool:
        """As `runs.set_status`: refused steps change nothing."""
        try:
            check_transition(self.status, after)
        except Conflict:
            return False
        assert self.status not in ENDS, "nothing leaves an end"
        self.status = after
        return True

    def begin(self, number: int, phase: Phase) -> None:
        self.number, self.phase = number, phase
        self.history.append((number, phase))

    @rule(pretraining=st.booleans(), evaluation=st.booleans(), repeats=st.booleans())
    @precondition(lambda self: self.status == "created" and self.number is None)
    def configure(self, pretraining: bool, evaluation: bool, repeats: bool) -> None:
        self.plan = Plan(pretraining, evaluation, self.plan.target, repeats)

    @rule(count=st.integers(1, 2))
    def ask_for_trainings(self, count: int) -> None:
        if self.status == "running" or self.become("running"):
            self.plan = replace(self.plan, target=self.plan.target + count)

    @rule(after=st.sampled_from(["paused", "cancelled"]))
    def stop(self, after: RunStatus) -> None:
        self.become(after)

    @rule()
    @precondition(lambda self: self.status in {"paused", "failed"})
    def resume(self) -> None:
        assert self.become("running")

    @rule()
    @precondition(lambda self: self.status == "running")
    def fail(self) -> None:
        assert self.become("failed")

    @rule(exhausted=st.booleans())
    @precondition(lambda self: self.status == "running")
    def the_phase_is_over(self, exhausted: bool) -> None:
        if self.number is None:
            return self.begin(0, first_phase(0, self.plan))
        way_on = step(
            self.number,
            self.phase,
            self.plan,
            exhausted=exhausted and self.phase in {"selecting", "augmenting"},
        )
        assert (way_on.phase, way_on.begins, way_on.ends) != (None, None, None), "a running run has a way on"
        self.num_trained += self.phase == "training"
        if way_on.phase is not None:
            check_phase(self.phase, way_on.phase)
            self.begin(self.number, way_on.phase)
        if way_on.ends is not None:
            assert self.become(way_on.ends)
        if way_on.begins is not None:
            self.begin(self.number + 1, way_on.begins)
        return None

    @invariant()
    def trainings_never_exceed_the_target(self) -> None:
        assert self.num_trained <= self.plan.target

    @invariant()
    def a_finished_run_has_what_was_asked_for(self) -> None:
        if self.status == "finished":
            assert (self.number, self.phase) == (self.plan.target, "trained")
            assert self.num_trained == self.plan.target

    @invariant()
    def every_iteration_before_the_newest_is_whole(self) -> None:
        for number in range(1, self.number or 0):
            phases = [phase for at, phase in self.history if at == number]
            wanted = {"teaching", "training", "assessing", "selecting", "complete"}
            assert wanted <= set(phases)
            assert ("augmenting" in phases) != self.plan.repeats or self.status == "exhausted"
            assert len(phases) == len(set(phases)), "no phase twice"


TestRunLife = RunLife.TestCase
TestRunLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize(
    ("pattern", "homes"),
    [
        (r"UPDATE runs[^;]*?SET[^;]*?\bstatus\s*=", {"runs.py"}),
        # a branch's copied iteration is not moved: it begins where its parent's rested
        (r"UPDATE iterations[^;]*?SET[^;]*?\bphase\s*=", {"iterations.py", "branches.py"}),
    ],
)
def test_states_are_written_in_one_place_alone(pattern: str, homes: set[str]) -> None:
    """There it is checked against the table and entered in the log."""
    writing = {
        file.name
        for file in COORDINATOR.rglob("*.py")
        for statement in re.findall(r'"""(.*?)"""|"([^"\n]*)"', file.read_text(encoding="utf-8"), re.DOTALL)
        if any(re.search(pattern, part) for part in statement)
    }
    assert writing == homes


def test_the_phases_with_tasks_are_the_ones_that_workers_know() -> None:

    assert set(LACKING) == TASKED
