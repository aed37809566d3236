"""What `comd evaluate` asks for. In: what was typed. Out: the model and the settings of the request.

And whether the same is on its way already, so that it is not begun twice.
"""

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from services.coordinator.api.evaluation_shapes import EvaluationSummary
from services.coordinator.benchmarks.items import Kind
from services.coordinator.benchmarks.prompts import MAX_TOKENS, TEMPERATURE
from services.coordinator.evaluation_settings import EvaluationSettings
from shared.errors import BadRequest
from shared.settings import explain
from shared.types import EngineKind, EngineSpec, JsonObject

OVER = {"finished", "exhausted", "cancelled"}
STANDS = {"paused", "failed"}  # and goes on when it is asked to


def engine(
    option: str, url: str | None, model: str | None, key_name: str | None, kind: EngineKind = "openai"
) -> EngineSpec | None:
    """The engine that two options name, `--{option}` the model; None where neither is given."""
    if url is None and model is None and key_name is None:
        return None
    if url is None or model is None:
        raise BadRequest(f"expected a server's URL and --{option} together, or neither")
    try:
        return EngineSpec(base_url=url, model=model, key_name=key_name, kind=kind)
    except ValidationError as error:
        raise BadRequest(explain(error)) from error


def settings(**given: Any) -> EvaluationSettings:
    try:
        return EvaluationSettings(**given)
    except ValidationError as error:
        raise BadRequest(explain(error)) from error


def only_one(**models: JsonObject | None) -> JsonObject:
    """The one model that is given, by the options' names."""
    given = {name: model for name, model in models.items() if model is not None}
    if len(given) != 1:
        raise BadRequest(
            "expected one model: --endpoint with --model, --run, --student or --teacher; "
            f"got {' and '.join(f'--{name}' for name in given) or 'none'}"
        )
    return next(iter(given.values()))


def same_on_its_way(
    known: Iterable[EvaluationSummary], kind: Kind, model: JsonObject, asked: EvaluationSettings
) -> EvaluationSummary | None:
    """The first of these evaluations of one benchmark of this kind that measures the same and has not ended."""
    wanted = asked.model_dump()
    for name, default in (("temperature", TEMPERATURE[kind]), ("max_tokens", MAX_TOKENS[kind])):
        wanted[name] = default if wanted[name] is None else wanted[name]
    for one in known:
        if one.status not in OVER and one.settings.model_dump() == wanted and _is_of(one, model):
            return one
    return None


def _is_of(one: EvaluationSummary, model: JsonObject) -> bool:
    if "run" in model:
        return (one.run, one.iteration) == (model["run"], model["iteration"])
    measured = one.model.model_dump()
    return all(measured[name] == value for name, value in model.items())
