"""The order of phases, and which run status may follow which."""

import pytest

from services.coordinator.states import (
    RESTING,
    RUN_TRANSITIONS,
    Plan,
    RunStatus,
    check_transition,
    first_phase,
    next_phase,
)
from shared.errors import Conflict


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


def test_the_last_training_rests_in_trained() -> None:
    assert walk(2, FULL) == ["teaching", "training", "evaluating", "trained"]
    assert walk(2, BARE) == ["teaching", "training", "trained"]


def test_asked_for_more_the_last_iteration_is_finished_first() -> None:
    more = Plan(has_pretraining=True, has_evaluation=True, target=3)
    assert next_phase(2, "trained", more) == "assessing"
    assert "trained" in RESTING


@pytest.mark.parametrize("status", ["exhausted", "cancelled"])
def test_final_is_final(status: RunStatus) -> None:
    assert RUN_TRANSITIONS[status] == frozenset()


@pytest.mark.parametrize(("before", "after"), [("created", "paused"), ("paused", "finished")])
def test_a_forbidden_step_names_the_allowed_ones(before: RunStatus, after: RunStatus) -> None:
    with pytest.raises(Conflict, match=f"the run is {before}.*cancelled, running"):
        check_transition(before, after)


def test_every_status_in_the_table_has_a_row() -> None:
    assert {after for allowed in RUN_TRANSITIONS.values() for after in allowed} <= RUN_TRANSITIONS.keys()
