"""What a branch may change, and what of its parent's assessment holds in it; the command's settings."""

from typing import Any

import pytest

from comd.commands.branching import with_settings
from services.coordinator.api.branching import child_config, plan_branch
from services.coordinator.run_config import RunConfig
from shared.errors import BadRequest, Unprocessable
from shared.types import EngineSpec

SPEC = EngineSpec(base_url="http://judge", model="m").model_dump()
JUDGE = {"revision": "r", "engine": None}


def parent(**config: Any) -> dict[str, Any]:
    return {"id": "p", "config": RunConfig.model_validate(config).model_dump(), "engines": {}}


def test_sections_are_merged() -> None:
    run = parent(training={"epochs": 3, "learning_rate": 1e-4}, selection={"mode": "random", "number": 5})
    config = child_config(run, {"tau": 0.5, "training": {"epochs": 2}, "selection": {"number": None}})
    assert (config.tau, config.training.epochs, config.training.learning_rate) == (0.5, 2, 1e-4)
    assert (config.selection.mode, config.selection.number) == ("random", None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"student": {"base": "other"}}, "student.base: a branch goes on with its parent's student"),
        ({"pretraining": None}, "pretraining: it lies before the branch"),
        ({"evaluation": {"dataset": "other"}}, "evaluation.dataset: .* could not be compared"),
        ({"tua": 1}, "tua: unknown key"),
    ],
)
def test_what_is_past_is_refused(changes: dict[str, Any], said: str) -> None:
    run = parent(pretraining={"dataset": "captions"}, evaluation={"dataset": "heldout"})
    with pytest.raises(Unprocessable, match=said):
        child_config(run, changes)


@pytest.mark.parametrize(
    ("judge", "changes", "expected"),
    [
        (JUDGE, {"tau": 0.9}, (True, True)),
        (JUDGE, {"assessor": {"price": {"prompt": 1}}, "teacher": {"engine": SPEC}}, (True, True)),
        (JUDGE, {"assessor": {"engine": SPEC}}, (True, False)),
        (JUDGE, {"assessor": {"engine": None}}, (True, True)),
        ({**JUDGE, "engine": SPEC}, {"assessor": {"engine": SPEC}}, (True, True)),
        ({**JUDGE, "engine": SPEC}, {"assessor": {"engine": None}}, (True, False)),
        (None, {}, (True, False)),  # the parent has not begun to judge
        (JUDGE, {"seed": 1}, (False, False)),
        (JUDGE, {"student": {"temperature": 0.1}}, (False, False)),
        (JUDGE, {"student": {"max_tokens": 9}}, (False, False)),
    ],
)
def test_what_holds_in_the_branch(judge: Any, changes: dict[str, Any], expected: tuple[bool, bool]) -> None:
    run = parent()
    made = plan_branch(run, {"number": 2, "judge": judge}, child_config(run, changes), changes, "c")
    assert (made.same_questions, made.same_judge) == expected


def test_settings_of_the_command_line() -> None:
    given = ["tau=0.5", "training.epochs=2", "evaluation=null", "student.base=it=1"]
    assert with_settings({"training": {"batch_size": 4}}, given) == {
        "training": {"batch_size": 4, "epochs": 2},
        "tau": 0.5,
        "evaluation": None,
        "student": {"base": "it=1"},
    }
    with pytest.raises(BadRequest, match="expected key=value, got 'tau'"):
        with_settings({}, ["tau"])
