"""What clients send to the trainer, checked. In: JSON. Out: `Asked` for a job, `LeaseRequest` for a lease."""

import secrets
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.trainer.jobs import Asked
from services.trainer.settings import Adaptation, Hyperparameters, Stage
from shared.errors import BadRequest, Unprocessable
from shared.settings import known_keys
from shared.types import JsonObject

AUTO = "auto"  # OpenAI's word for the default


class Supervised(BaseModel):
    model_config = ConfigDict(extra="forbid")

    hyperparameters: JsonObject = {}


class Method(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: Literal["supervised"] = "supervised"
    supervised: Supervised = Supervised()


class JobRequest(BaseModel):
    """`POST /v1/fine_tuning/jobs`; unknown fields are refused by name."""

    model_config = ConfigDict(extra="forbid")

    training_file: str
    model: str
    suffix: str | None = Field(None, max_length=64)
    seed: int | None = None
    stage: Stage = "tune"
    adaptation: Adaptation = "full"
    hyperparameters: JsonObject | None = None
    method: Method | None = None
    metadata: dict[str, str] | None = None
    validation_file: None = None
    integrations: list[Any] | None = Field(None, max_length=0)

    def asked(self, owner: str | None) -> Asked:
        """The job, its hyperparameters taken from either place; `method` wins."""
        within = self.method.supervised.hyperparameters if self.method else {}
        return Asked(
            training_file=self.training_file,
            model=self.model,
            suffix=self.suffix,
            seed=secrets.randbits(31) if self.seed is None else self.seed,
            stage=self.stage,
            adaptation=self.adaptation,
            hyperparameters=hyperparameters({**(self.hyperparameters or {}), **within}),
            owner=owner,
        )


class ResumeRequest(BaseModel):
    """`POST /v1/fine_tuning/jobs/{id}/resume`; the body may be left out."""

    model_config = ConfigDict(extra="forbid")

    from_start: bool = False


class LeaseRequest(BaseModel):
    """`POST /v1/leases`."""

    model_config = ConfigDict(extra="forbid")

    owner: str = Field(min_length=1, max_length=200)
    checkpoint: str | None = None


def hyperparameters(given: JsonObject) -> Hyperparameters:
    """Those given, else the paper's. Unprocessable names what is unknown or out of range."""
    if unknown := sorted(set(given) - set(Hyperparameters.model_fields)):
        raise Unprocessable(
            f"hyperparameters: unknown {', '.join(unknown)}; allowed are {', '.join(known_keys(Hyperparameters))}",
            code="unknown_hyperparameter",
        )
    try:
        return Hyperparameters(**{name: value for name, value in given.items() if value != AUTO})
    except ValidationError as error:
        said = "; ".join(
            f"hyperparameters.{'.'.join(map(str, item['loc']))}: {item['msg']}, got {item['input']!r}"
            for item in error.errors(include_url=False)
        )
        raise Unprocessable(said) from error


def page(items: list[JsonObject], after: str | None, limit: int) -> JsonObject:
    """OpenAI's cursor pages: the items behind the one named `after`."""
    if limit < 1:
        raise BadRequest(f"limit: expected a number from 1, got {limit}")
    names = [item["id"] for item in items]
    start = names.index(after) + 1 if after in names else 0
    if after is not None and after not in names:
        raise BadRequest(f"after: no item {after[:60]!r} in this list")
    chosen = items[start : start + limit]
    return {
        "object": "list",
        "data": chosen,
        "has_more": start + limit < len(items),
        "first_id": chosen[0]["id"] if chosen else None,
        "last_id": chosen[-1]["id"] if chosen else None,
    }
