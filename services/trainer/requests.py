"""What clients send to the trainer, checked. In: JSON. Out: `Asked` for a job, `LeaseRequest` for a lease."""

import hashlib
import secrets
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from services.trainer.jobs import Asked
from services.trainer.settings import LEARNING_RATES, LORA, Adaptation, Hyperparameters, Stage
from shared.errors import Unprocessable
from shared.settings import known_keys
from shared.types import JsonObject

AUTO = "auto"  # OpenAI's word for the default
MULTIPLIER = "learning_rate_multiplier"  # OpenAI's: times the paper's rate of the stage
TOLD = 60  # characters of a wrong value that a message shows


class Supervised(BaseModel):
    model_config = ConfigDict(extra="forbid")

    hyperparameters: JsonObject | None = None


class Method(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: Literal["supervised"] = "supervised"
    supervised: Supervised | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_supervised(cls, given: Any) -> Any:
        if isinstance(given, dict):
            asked = given.get("type", "supervised")
            named = [name for name in ("dpo", "reinforcement") if name in (*given, asked)]
            if named or asked != "supervised":
                name = named[0] if named else str(asked)[:TOLD]
                raise ValueError(
                    f"{name!r} is not supported; the student is trained by type supervised alone"
                )
        return given


class JobRequest(BaseModel):
    """`POST /v1/fine_tuning/jobs`; unknown fields are refused by name."""

    model_config = ConfigDict(extra="forbid")

    training_file: str
    model: str
    suffix: str | None = Field(None, max_length=64)
    seed: int | None = Field(None, ge=0, lt=2**32)
    stage: Stage = "tune"
    adaptation: Adaptation = "full"
    hyperparameters: JsonObject | None = None
    method: Method | None = None
    metadata: (
        dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[str, Field(max_length=512)]] | None
    ) = Field(None, max_length=16)
    validation_file: str | None = None
    integrations: list[Any] | None = None

    @field_validator("validation_file")
    @classmethod
    def _without_validation(cls, given: str | None) -> None:
        if given is not None:
            raise ValueError("the trainer validates on no file; leave it out, and evaluate the checkpoint")

    @field_validator("integrations")
    @classmethod
    def _without_integrations(cls, given: list[Any] | None) -> None:
        if given:
            raise ValueError("a job names no integration; the operator sets the trackers of all jobs")

    def asked(self, owner: str | None, idempotency_key: str | None = None) -> Asked:
        """The job; a seed that is not given is drawn, and by an Idempotency-Key always the same one."""
        drawn = (
            hashlib.sha256(idempotency_key.encode()).digest() if idempotency_key else secrets.token_bytes(4)
        )
        return Asked(
            training_file=self.training_file,
            model=self.model,
            suffix=self.suffix,
            seed=int.from_bytes(drawn[:4], "big") >> 1 if self.seed is None else self.seed,
            stage=self.stage,
            adaptation=self.adaptation,
            metadata=self.metadata,
            hyperparameters=hyperparameters(self._given(), self.stage, self.adaptation),
            owner=owner,
        )

    def _given(self) -> JsonObject:
        """The hyperparameters of either place; "auto" and null are as good as left out."""
        method = self.method.supervised if self.method else None
        top, within = (
            {name: value for name, value in (given or {}).items() if value not in (AUTO, None)}
            for given in (self.hyperparameters, method.hyperparameters if method else None)
        )
        for name in sorted(top.keys() & within.keys()):
            if top[name] != within[name]:
                raise Unprocessable(
                    f"hyperparameters.{name} is {_told(top[name])}, and {_told(within[name])} in method.supervised."
                    "hyperparameters; give it in one place (OpenAI's is the method)",
                    param=f"hyperparameters.{name}",
                )
        return {**top, **within}


class ResumeRequest(BaseModel):
    """`POST .../resume`: from the newest complete state, unless `from_start`."""

    model_config = ConfigDict(extra="forbid")

    from_start: bool = False


class LeaseRequest(BaseModel):
    """`POST /v1/leases`."""

    model_config = ConfigDict(extra="forbid")

    owner: str = Field(min_length=1, max_length=200)
    checkpoint: str | None = None


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
        said = "; ".join(f"{_field(item)}: {item['msg']}, got {_told(item['input'])}" for item in found)
        raise Unprocessable(said, param=_field(found[0])) from error


def _check_names(chosen: JsonObject, stage: Stage, adaptation: Adaptation) -> None:
    known = known_keys(Hyperparameters)
    if unknown := sorted(set(chosen) - set(known) - {MULTIPLIER}):
        raise Unprocessable(
            f"hyperparameters: unknown {', '.join(name[:TOLD] for name in unknown)}; allowed are "
            f"{', '.join([*known, MULTIPLIER])}",
            code="unknown_hyperparameter",
            param=f"hyperparameters.{unknown[0][:TOLD]}",
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
            f"hyperparameters.{MULTIPLIER}: expected a number above 0 or {AUTO!r}, got {_told(multiplier)}",
            param=f"hyperparameters.{MULTIPLIER}",
        )
    return float(multiplier)


def _field(item: Any) -> str:
    return ".".join(["hyperparameters", *map(str, item["loc"])])


def _told(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= TOLD else f"{shown[:TOLD]}..."
