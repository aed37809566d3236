"""What an evaluation's row says, typed: whom it measures, on what, and how."""

from dataclasses import dataclass

from services.coordinator.benchmarks.items import Kind
from services.coordinator.evaluation_settings import EvaluationSettings
from services.coordinator.tested import Subject
from shared.types import EngineSpec, JsonObject


@dataclass(frozen=True)
class Measured:
    """One evaluation, as its tasks need it."""

    kind: Kind
    where: Subject
    model: str
    revision: str
    prompt_version: str | None  # of a role service that adds a prompt of its own
    settings: EvaluationSettings
    judge: JsonObject | None  # {revision, prompt_version}, fixed when the evaluation began


def measured_of(evaluation: JsonObject) -> Measured:
    """From a row of `evaluations`."""
    model = evaluation["model"]
    engine = None if model["engine"] is None else EngineSpec.model_validate(model["engine"])
    return Measured(
        evaluation["kind"],
        Subject(engine, model["role"], model["checkpoint"], model["revision"]),
        model["model"],
        model["revision"],
        model["prompt_version"],
        EvaluationSettings.model_validate(evaluation["settings"]),
        evaluation["judge"],
    )
