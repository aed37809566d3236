"""What `comd evaluate` asks for: one model, and the same evaluation not twice."""

from typing import Any

import pytest

from comd import measuring
from comd.commands.evaluations import told
from services.coordinator.api.evaluation_shapes import EvaluationSummary, ScoreCell
from shared.errors import BadRequest

NOW = "2026-01-01T00:00:00+00:00"
SPEC = measuring.engine("model", "http://127.0.0.1:8000", "small", None, "vllm")
assert SPEC is not None
ENGINE = {"engine": SPEC.model_dump()}


def evaluation(status: str = "running", **more: Any) -> EvaluationSummary:
    """One of ScienceQA as the coordinator tells it, with its settings filled in."""
    settings = {"temperature": 0.5, "max_tokens": 1024, "seed": 0, **more.pop("settings", {})}
    model = {"label": "small", "engine": None, "role": None, "checkpoint": None, "revision": "r"}
    return EvaluationSummary.model_validate(
        {
            "id": "run-1",
            "name": "small on scienceqa",
            "benchmark": "scienceqa",
            "kind": "scienceqa",
            "split": "test",
            "judge": None,
            "run": None,
            "iteration": None,
            "automatic": False,
            "status": status,
            "reason": None,
            "progress": {},
            "items": 5,
            "scores": None,
            "created_at": NOW,
            "updated_at": NOW,
            **more,
            "settings": settings,
            "model": {**model, **more.get("model", ENGINE)},
        }
    )


def same(one: EvaluationSummary, model: dict[str, Any] = ENGINE, **settings: Any) -> bool:
    asked = measuring.settings(**settings)
    return measuring.same_on_its_way([one], "scienceqa", model, asked) is one


@pytest.mark.parametrize(
    ("status", "goes_on"),
    [("created", True), ("running", True), ("paused", True), ("failed", True)]
    + [(over, False) for over in ("finished", "exhausted", "cancelled")],
)
def test_what_has_not_ended_goes_on(status: str, goes_on: bool) -> None:
    assert same(evaluation(status)) is goes_on


def test_only_the_same_settings_are_the_same() -> None:
    assert same(evaluation(), temperature=0.5, max_tokens=1024)  # what the benchmark fills in
    assert not same(evaluation(), temperature=0.6)
    assert not same(evaluation(settings={"temperature": 0.6}))
    assert not same(evaluation(), seed=1)
    assert not same(evaluation(), with_images=False)
    assert same(evaluation(settings={"seed": 1}), seed=1)


def test_only_the_same_model_is_the_same() -> None:
    other = measuring.engine("model", "http://127.0.0.1:8000", "small", "COMD_ENGINE_KEY_A", "vllm")
    assert other is not None
    assert not same(evaluation(), {"engine": other.model_dump()})
    assert not same(evaluation(), {"role": "teacher"})
    assert same(evaluation(model={"engine": None, "role": "teacher"}), {"role": "teacher"})
    of_run = evaluation(run="run-9", iteration=2, model={"engine": None, "checkpoint": "c"})
    assert same(of_run, {"run": "run-9", "iteration": 2})
    assert not same(of_run, {"run": "run-9", "iteration": 1})
    assert same(of_run, {"checkpoint": "c"})  # the same student by another name


def test_one_model_is_asked_for() -> None:
    assert measuring.only_one(endpoint=None, teacher={"role": "teacher"}) == {"role": "teacher"}
    with pytest.raises(BadRequest, match="got none"):
        measuring.only_one(endpoint=None, run=None)
    with pytest.raises(BadRequest, match="got --run and --teacher"):
        measuring.only_one(run={"run": "r"}, teacher={"role": "teacher"})


def test_an_engine_is_a_url_and_a_model() -> None:
    assert measuring.engine("model", None, None, None) is None
    for url, model, key_name in (
        ("http://h:1", None, None),
        (None, "m", None),
        (None, None, "COMD_ENGINE_KEY_A"),
    ):
        with pytest.raises(BadRequest, match="--model together"):
            measuring.engine("model", url, model, key_name)
    with pytest.raises(BadRequest, match="without /v1"):
        measuring.engine("model", "http://h:1/v1", "m", None)
    with pytest.raises(BadRequest, match="key_name"):
        measuring.engine("judge-model", "http://h:1", "m", "MY_KEY")


def test_a_column_in_which_nothing_was_asked_has_no_number() -> None:
    nothing = ScoreCell(value=None, low=None, high=None, num=0)
    assert told(nothing, "+") == "-"
    assert told(ScoreCell(value=1.5, low=-0.5, high=3.0, num=9), "+") == "+1.50 (-0.50 to +3.00)"
