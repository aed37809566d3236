"""A job's hyperparameters. In: what was given by OpenAI's names and ours. Out: all values, the paper's where none was
given; what is unknown, out of range or out of place is refused by name.
"""

from typing import Any

from pydantic import ValidationError

from services.trainer.settings import LEARNING_RATES, LORA, Adaptation, Hyperparameters, Stage
from shared.errors import Unprocessable, told
from shared.settings import known_keys
from shared.types import JsonObject

AUTO = "auto"  # OpenAI's word for the default
MULTIPLIER = "learning_rate_multiplier"  # OpenAI's: times the paper's rate of the stage
MOST_TOLD = 60  # characters of an unknown name


def hyperparameters(
    given: JsonObject, stage: Stage = "tune", adaptation: Adaptation = "full"
) -> Hyperparameters:
    """Those given, else the paper's. Unprocessable names what is unknown, out of range or out of place."""
    chosen = {name: value for name, value in given.items() if value != AUTO}
    _check_names(chosen, stage, adaptation)
    multiplier = chosen.pop(MULTIPLIER, None)
    if multiplier is not None:
        chosen["learning_rate"] = LEARNING_RATES[stage] * _factor(multiplier)
    try:
        return Hyperparameters(**{**(LORA if adaptation == "lora" else {}), **chosen})
    except ValidationError as error:
        found = error.errors(include_url=False)
        said = "; ".join(f"{_field(item)}: {item['msg']}, got {told(item['input'])}" for item in found)
        raise Unprocessable(said, param=_field(found[0])) from error


def _check_names(chosen: JsonObject, stage: Stage, adaptation: Adaptation) -> None:
    known = known_keys(Hyperparameters)
    if unknown := sorted(set(chosen) - set(known) - {MULTIPLIER}):
        raise Unprocessable(
            f"hyperparameters: unknown {', '.join(name[:MOST_TOLD] for name in unknown)}; allowed are "
            f"{', '.join([*known, MULTIPLIER])}",
            code="unknown_hyperparameter",
            param=f"hyperparameters.{unknown[0][:MOST_TOLD]}",
        )
    if MULTIPLIER in chosen and "learning_rate" in chosen:
        raise Unprocessable(
            f"hyperparameters: learning_rate and {MULTIPLIER} both say what the rate is; give one of them",
            param=f"hyperparameters.{MULTIPLIER}",
        )
    if adaptation == "lora" and stage == "pretrain":
        raise Unprocessable(
            "adaptation: stage pretrain trains the projector alone, so there is nothing for LoRA to adapt; use full",
            param="adaptation",
        )
    if adaptation == "full" and (stray := sorted(set(chosen) & set(LORA))):
        raise Unprocessable(
            f"hyperparameters.{stray[0]} belongs to adaptation lora; this job's is full",
            param=f"hyperparameters.{stray[0]}",
        )


def _factor(multiplier: Any) -> float:
    if isinstance(multiplier, bool) or not isinstance(multiplier, int | float) or not 0 < multiplier < 1e9:
        raise Unprocessable(
            f"hyperparameters.{MULTIPLIER}: expected a number above 0 or {AUTO!r}, got {told(multiplier)}",
            param=f"hyperparameters.{MULTIPLIER}",
        )
    return float(multiplier)


def _field(item: Any) -> str:
    return ".".join(["hyperparameters", *map(str, item["loc"])])
