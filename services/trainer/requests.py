"""What clients send to the trainer, checked. In: JSON. Out: `Asked` for a job, `LeaseRequest` for a lease."""

import hashlib
import secrets
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from services.trainer.hyperparameters import AUTO, hyperparameters
from services.trainer.jobs import Asked
from services.trainer.settings import Adaptation, Stage
from shared.errors import Unprocessable, told
from shared.types import JsonObject


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
                name = told(named[0] if named else asked)
                raise ValueError(f"{name} is not supported; the student is trained by type supervised alone")
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
                    f"hyperparameters.{name} is {told(top[name])}, and {told(within[name])} in method.supervised."
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
