"""What of a run goes to trackers: by iteration, once, and only what does not change any more."""

from typing import Any

import pytest

from services.coordinator.run_config import parse_run_config
from services.coordinator.tracking import series
from services.coordinator.tracking.trackers import check_installed
from shared.errors import Unprocessable

RUN = {
    "id": "run-1",
    "name": "first",
    "dataset": "world",
    "parent_run": None,
    "branched_from": None,
    "status": "running",
    "config": {"tau": 0.33, "training": {"batch_size": 16, "lora_rank": None}},
}
USED = {"role": "teacher", "prompt_tokens": 800, "cached_tokens": 0, "completion_tokens": 90, "seconds": 2.5}
USAGE = [{"iteration": number, **USED, "cost_nanos": 250_000_000} for number in (1, 2)]


def row(number: int, phase: str, **more: Any) -> dict[str, Any]:
    nothing = dict.fromkeys((*series.COUNTS, "heldout_by_kind", "job_id"))
    return {"number": number, "phase": phase, **nothing, "seconds": {}, **more}


def test_an_iteration_is_told_when_its_student_is_measured_and_its_usage_when_it_is_over() -> None:
    known = {
        "train_loss": 0.5,
        "heldout_accuracy": 0.25,
        "heldout_by_kind": {"<b>/é": 0.25},
        "tuning_pool": 30,
    }
    rows = [row(1, "assessing", **known, seconds={"training": 4.0}), row(2, "training", tuning_pool=9)]
    told = {
        "train_loss": 0.5,
        "heldout_accuracy": 0.25,
        "heldout_accuracy/_b___": 0.25,
        "pools/tuning": 30.0,
        "seconds/training": 4.0,
    }
    assert series.records(RUN, rows, USAGE) == [{"step": 1, "metrics": told}]
    rows[0] |= {"phase": "complete", "difficult": 3, "accepted": 2}
    used = {"tokens/teacher/prompt": 800.0, "engine_seconds/teacher": 2.5, "cost/teacher": 0.25}
    found = series.records(RUN, rows, USAGE)[0]["metrics"]
    assert used.items() <= found.items()
    assert (found["selection/difficult"], found["candidates/accepted"]) == (3.0, 2.0)


def test_the_end_of_a_run_settles_its_last_iteration() -> None:
    found = series.records({**RUN, "status": "cancelled"}, [row(2, "training", tuning_pool=9)], USAGE)
    assert found[0]["metrics"]["pools/tuning"] == 9
    assert found[0]["metrics"]["cost/teacher"] == 0.25


def test_only_what_is_new_or_changed_is_sent() -> None:
    found: Any = [{"step": 1, "metrics": {"a": 1.0, "b": 2.0}}, {"step": 2, "metrics": {"a": 3.0}}]
    sent: Any = [{"step": 1, "metrics": {"a": 1.0, "b": 5.0}}, {"step": 1, "metrics": {"b": 2.0}}]
    assert series.unsent(found, sent) == [{"step": 2, "metrics": {"a": 3.0}}]
    assert series.unsent(found, sent[:1])[0] == {"step": 1, "metrics": {"b": 2.0}}
    assert series.unsent(found, found) == []


def test_parameters_are_the_settings_and_the_jobs_that_the_trainer_tracks() -> None:
    said = series.parameters(
        RUN, [row(1, "complete", job_id="ftjob-1"), row(2, "training", job_id="ftjob-2")]
    )
    assert said["training.batch_size"] == "16"
    assert said["run/name"] == "first"
    assert said["job/1"] == "ftjob-1"
    assert not {"job/2", "training.lora_rank", "run/parent_run"} & set(said)


@pytest.mark.parametrize(
    ("names", "said"), [(["tensorboard"], "'trackio', 'mlflow' or 'wandb'"), (["mlflow"] * 2, "twice")]
)
def test_a_tracker_is_one_of_those_there_are_and_named_once(names: list[str], said: str) -> None:
    with pytest.raises(Unprocessable, match=said):
        parse_run_config({"tracking": names})
    assert parse_run_config({}).tracking == []


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    check_installed(["mlflow", "trackio", "wandb"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unprocessable, match=r"wandb is not installed .*pip install 'comd\[tracking\]'"):
        check_installed(["wandb"])
