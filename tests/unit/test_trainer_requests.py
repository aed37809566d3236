"""What may be asked of the trainer: hyperparameters and where they stand, fields by name, pages, filters."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.datastructures import QueryParams

from services.trainer.api.jobs import chosen
from services.trainer.api.pages import page
from services.trainer.api.shapes import job_object
from services.trainer.hyperparameters import hyperparameters
from services.trainer.jobs import Job, Jobs
from services.trainer.requests import JobRequest
from services.trainer.settings import LORA, Hyperparameters
from shared.errors import BadRequest, Unprocessable


def request(**fields: Any) -> JobRequest:
    return JobRequest.model_validate({"training_file": "file-1", "model": "tiny", **fields})


def method(**parameters: Any) -> dict[str, Any]:
    return {"type": "supervised", "supervised": {"hyperparameters": parameters}}


def made(folder: Path, **fields: Any) -> Job:
    return Jobs(folder).create(request(**fields).asked(None), None)


def test_hyperparameters_default_to_the_papers() -> None:
    everything = dict.fromkeys([*Hyperparameters.model_fields, "learning_rate_multiplier"], "auto")
    assert hyperparameters(everything) == Hyperparameters(
        n_epochs=1, batch_size=16, learning_rate=None, warmup_ratio=0.03, max_length=2048
    )
    assert hyperparameters(everything, adaptation="lora").model_dump().items() >= LORA.items()


@pytest.mark.parametrize(
    ("given", "adaptation", "stage", "param", "said"),
    [
        ({"momentum": 1}, "full", "tune", "momentum", "unknown momentum; allowed are batch_size"),
        ({"b": 1, "a": 1}, "full", "tune", "a", "unknown a, b; allowed"),
        ({"n_epochs": 0}, "full", "tune", "n_epochs", "n_epochs: .*got 0"),
        ({"n_epochs": "many"}, "full", "tune", "n_epochs", "n_epochs: .*got 'many'"),
        ({"batch_size": 1.5}, "full", "tune", "batch_size", "batch_size: .*got 1.5"),
        ({"learning_rate": float("inf")}, "full", "tune", "learning_rate", "learning_rate: .*got inf"),
        ({"learning_rate": float("nan")}, "full", "tune", "learning_rate", "learning_rate: .*got nan"),
        ({"warmup_ratio": 1}, "full", "tune", "warmup_ratio", "warmup_ratio: .*got 1"),
        (
            {"learning_rate_multiplier": 0},
            "full",
            "tune",
            "learning_rate_multiplier",
            "above 0 or 'auto', got 0",
        ),
        ({"learning_rate_multiplier": True}, "full", "tune", "learning_rate_multiplier", "got True"),
        ({"learning_rate_multiplier": [2]}, "full", "tune", "learning_rate_multiplier", "got .2."),
        (
            {"learning_rate_multiplier": 2, "learning_rate": 1e-3},
            "full",
            "tune",
            "learning_rate_multiplier",
            "both say what the rate is",
        ),
        ({"lora_rank": 8}, "full", "tune", "lora_rank", "lora_rank belongs to adaptation lora"),
        ({"lora_rank": 0}, "lora", "tune", "lora_rank", "lora_rank: .*got 0"),
        ({"lora_dropout": 1}, "lora", "tune", "lora_dropout", "lora_dropout: .*got 1"),
    ],
)
def test_wrong_hyperparameters_are_refused_by_name(
    given: dict[str, Any], adaptation: Any, stage: Any, param: str, said: str
) -> None:
    with pytest.raises(Unprocessable, match=said) as caught:
        hyperparameters(given, stage, adaptation)
    assert caught.value.param == f"hyperparameters.{param}"


def test_lora_has_nothing_to_adapt_in_stage_1() -> None:
    with pytest.raises(Unprocessable, match="the projector alone") as caught:
        request(stage="pretrain", adaptation="lora").asked(None)
    assert caught.value.param == "adaptation"


@pytest.mark.parametrize(("stage", "rate"), [("tune", 4e-5), ("pretrain", 4e-3)])
def test_openais_multiplier_is_times_the_papers_rate(tmp_path: Path, stage: str, rate: float) -> None:
    job = made(tmp_path, stage=stage, method=method(learning_rate_multiplier=2))
    assert job.asked.hyperparameters.learning_rate == rate
    shown = job_object(job)["hyperparameters"]
    assert (shown["learning_rate"], shown["learning_rate_multiplier"]) == (rate, 2)


def test_what_is_shown_has_no_auto(tmp_path: Path) -> None:
    shown = job_object(made(tmp_path, hyperparameters={"n_epochs": "auto"}))
    assert shown["hyperparameters"] == {
        "n_epochs": 1,
        "batch_size": 16,
        "learning_rate": 2e-5,
        "learning_rate_multiplier": 1,
        "warmup_ratio": 0.03,
        "max_length": 2048,
    }
    assert shown["method"] == {
        "type": "supervised",
        "supervised": {"hyperparameters": shown["hyperparameters"]},
    }


def test_hyperparameters_are_taken_from_either_place() -> None:
    both = request(
        hyperparameters={"n_epochs": "auto", "batch_size": 4, "max_length": None}, method=method(n_epochs=3)
    )
    parameters = both.asked(None).hyperparameters
    assert (parameters.n_epochs, parameters.batch_size, parameters.max_length) == (3, 4, 2048)
    agreed = request(hyperparameters={"n_epochs": 3}, method=method(n_epochs=3, batch_size="auto"))
    assert agreed.asked(None).hyperparameters.n_epochs == 3
    with pytest.raises(Unprocessable, match="n_epochs is 2, and 3 in method") as caught:
        request(hyperparameters={"n_epochs": 2}, method=method(n_epochs=3)).asked(None)
    assert caught.value.param == "hyperparameters.n_epochs"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"colour": 1}, "colour"),
        ({"stage": "both"}, "'pretrain' or 'tune'"),
        ({"adaptation": "qlora"}, "'full' or 'lora'"),
        ({"method": {"type": "dpo"}}, "'dpo' is not supported"),
        ({"method": {"type": "supervised", "reinforcement": {}}}, "'reinforcement' is not supported"),
        ({"method": {"type": "magic"}}, "'magic' is not supported"),
        ({"method": {"supervised": {"epochs": 1}}}, "method.supervised.epochs"),
        ({"suffix": "x" * 65}, "suffix"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"validation_file": "file-2"}, "validates on no file"),
        ({"integrations": [{"type": "wandb"}]}, "names no integration"),
        ({"metadata": {str(at): "" for at in range(17)}}, "metadata"),
        ({"metadata": {"k" * 65: ""}}, "metadata"),
        ({"metadata": {"": ""}}, "metadata"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
        ({"metadata": {"k": 1}}, "metadata"),
    ],
)
def test_a_wrong_field_is_refused_by_name(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        request(**fields)


def test_everything_of_openais_that_means_nothing_here_may_be_null() -> None:
    asked = request(
        method=None, hyperparameters=None, validation_file=None, integrations=[], metadata=None, suffix=None
    )
    assert asked.asked(None).metadata is None
    assert request(method={"type": "supervised", "supervised": None}).asked(None).stage == "tune"


def test_a_seed_is_drawn_once_for_an_idempotency_key(tmp_path: Path) -> None:
    drawn = {request().asked(None, key).seed for key in ("a", "a", "b", None, None)}
    assert len(drawn) == 4
    assert request(seed=0).asked(None, "a").seed == 0
    jobs = Jobs(tmp_path)
    assert jobs.create(request().asked(None, "a"), "a") == jobs.create(request().asked(None, "a"), "a")


def test_pages_follow_their_cursor() -> None:
    items = [{"id": str(at)} for at in range(5)]
    first = page(items, None, 2)
    assert (first["last_id"], first["has_more"]) == ("1", True)
    assert [item["id"] for item in page(items, "1", 9)["data"]] == ["2", "3", "4"]
    assert page(items, "4", 1)["has_more"] is False
    with pytest.raises(BadRequest, match="after") as caught:
        page(items, "9", 2)
    assert caught.value.param == "after"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", "abcd"),
        ("metadata[run]=1", "ab"),
        ("metadata[run]=1&metadata[pool]=x", "b"),
        ("metadata[note]=", "c"),
        ("metadata[run]=2", ""),
        ("metadata=null", "d"),
    ],
)
def test_jobs_are_filtered_by_their_metadata(tmp_path: Path, query: str, names: str) -> None:
    kept = {"a": {"run": "1"}, "b": {"run": "1", "pool": "x"}, "c": {"note": ""}, "d": None}
    jobs = [made(tmp_path / name, suffix=name, metadata=metadata) for name, metadata in kept.items()]
    found = chosen(jobs, QueryParams(query))
    assert "".join(str(job.asked.suffix) for job in found) == names


@pytest.mark.parametrize("query", ["metadata=x", "metadata=null&metadata[run]=1"])
def test_a_filter_that_says_nothing_is_refused(query: str) -> None:
    with pytest.raises(BadRequest, match=r"metadata\[key\]=value"):
        chosen([], QueryParams(query))


def test_a_job_of_an_older_version_can_still_be_read(tmp_path: Path) -> None:
    job = made(tmp_path)
    path = tmp_path / job.id / "job.json"
    body = json.loads(path.read_text())
    del body["asked"]["adaptation"], body["asked"]["metadata"]
    for name in LORA:
        del body["asked"]["hyperparameters"][name]
    path.write_text(json.dumps(body))
    assert Jobs(tmp_path).get(job.id) == job


def test_the_end_is_estimated_while_a_job_runs(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    job = jobs.create(request().asked(None), None)
    jobs.move(job.id, "running")
    jobs.note(job.id, {"time_left_s": 100.0})
    shown = job_object(jobs.get(job.id))
    assert 90 < shown["estimated_finish"] - shown["created_at"] < 110
    assert job_object(jobs.move(job.id, "failed"))["estimated_finish"] is None
