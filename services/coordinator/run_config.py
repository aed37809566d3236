"""One run's settings, as `configs/*.toml` hold them. In: a dict. Out: a frozen RunConfig, or a refusal by key.

The defaults are the paper's (arXiv 2311.08213) wherever it gives a number.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from services.coordinator.evaluation_settings import BenchmarkConfig
from services.coordinator.tracking.trackers import ADAPTERS, TrackerName
from shared.errors import Unprocessable
from shared.settings import explain, known_keys
from shared.types import EngineSpec, LoopRole

MOST_MONEY, DEAREST = 1e9, 1e6  # in billionths they, and sums of them, still fit into 64 bits
SelectionMode = Literal["balanced", "difficult_only", "easy_only", "random"]
AugmentationMode = Literal["new", "repeat"]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SelectionConfig(Section):
    mode: SelectionMode = "balanced"  # section 3.3: the difficult ones and as many easy ones
    number: int | None = Field(
        None, ge=1, description="at most so many; default: all difficult ones and as many easy ones"
    )


class AugmentationConfig(Section):
    mode: AugmentationMode = Field(
        "new", description="repeat: nothing is written; the selected ones are trained on again"
    )


class Price(Section):
    """Of a million tokens, in the run's currency."""

    prompt: float = Field(0.0, ge=0, le=DEAREST)
    cached: float | None = Field(None, ge=0, le=DEAREST, description="default: as prompt")
    completion: float = Field(0.0, ge=0, le=DEAREST)


class RoleConfig(Section):
    engine: EngineSpec | None = Field(None, description="default: the engine that the role service has")
    price: Price | None = Field(None, description="default: its calls cost nothing")


class StudentConfig(Section):
    price: Price | None = Field(None, description="default: its calls cost nothing")
    base: str = Field("base", description="a base student that the trainer knows")
    temperature: float = Field(0.5, ge=0, le=2)  # section 4.1
    max_tokens: int = Field(512, ge=1)


class TrainingConfig(Section):
    epochs: int = Field(1, ge=1)  # section 4.1: one epoch an iteration
    first_epochs: int | None = Field(None, ge=1, description="of the first training; default: as the others")
    steps: int | None = Field(
        None, ge=1, description="optimizer steps of a training, however large its pool, in place of epochs"
    )
    batch_size: int = Field(16, ge=1)  # section 4.1, over all devices
    learning_rate: float = Field(2e-5, gt=0)  # section 4.1
    warmup_ratio: float = Field(0.03, ge=0, lt=1)  # section 4.1
    max_length: int = Field(2048, ge=16)  # the LLaVA recipe; the paper is silent
    adaptation: Literal["full", "lora"] = "full"  # lora: fresh adapters each iteration, merged at its end
    lora_rank: int | None = Field(None, ge=1, description="default: the trainer's, 128")
    lora_alpha: float | None = Field(None, gt=0, description="default: the trainer's, 256")
    lora_dropout: float | None = Field(None, ge=0, lt=1, description="default: the trainer's, 0.05")

    @model_validator(mode="after")
    def _lora_has_a_use(self) -> "TrainingConfig":
        given = [
            name for name in ("lora_rank", "lora_alpha", "lora_dropout") if getattr(self, name) is not None
        ]
        if given and self.adaptation != "lora":
            raise ValueError(f'{", ".join(given)}: belongs to adaptation = "lora"')
        return self


class PretrainingConfig(Section):
    dataset: str
    epochs: int = Field(1, ge=1)  # the LLaVA recipe; the paper is silent
    batch_size: int = Field(16, ge=1)  # section 4.1
    learning_rate: float = Field(2e-3, gt=0)  # section 4.1, stage 1
    warmup_ratio: float = Field(0.03, ge=0, lt=1)
    max_length: int = Field(2048, ge=16)


class EvaluationConfig(Section):
    dataset: str
    max_tokens: int = Field(64, ge=1)


class EarlyStopConfig(Section):
    min_accepted_share: float | None = Field(
        None, ge=0, le=1, description="accepted per selected; below it the run ends as exhausted"
    )


class BudgetConfig(Section):
    limit: float = Field(ge=0, le=MOST_MONEY, description="what the run may spend, in its currency")


class RunConfig(Section):
    seed: int = Field(0, ge=0)
    trainings: int = Field(4, ge=1)  # section 4.1: four, with three rounds of augmentation between them
    tau: float = Field(0.33, ge=0, le=1)  # section 4.4: the best of 0, 0.33, 0.67, 1
    selection: SelectionConfig = SelectionConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    teacher: RoleConfig = RoleConfig()
    assessor: RoleConfig = RoleConfig()
    augmentor: RoleConfig = RoleConfig()
    student: StudentConfig = StudentConfig()
    training: TrainingConfig = TrainingConfig()
    pretraining: PretrainingConfig | None = None
    evaluation: EvaluationConfig | None = None
    benchmarks: list[BenchmarkConfig] = Field(
        [], max_length=20, description="what the student is measured on at the start and after each training"
    )
    early_stop: EarlyStopConfig = EarlyStopConfig()
    max_failed_share: float | None = Field(
        0.02,
        ge=0,
        le=1,
        description="of a phase's items; where more failed the run is paused and asks; null: never",
    )
    currency: str = Field("USD", min_length=1, max_length=8, description="label of prices and budget")
    budget: BudgetConfig | None = Field(None, description="default: no limit")
    tracking: list[TrackerName] = Field(
        [], max_length=len(ADAPTERS), description="where the run's metrics go: trackio, mlflow, wandb"
    )

    @field_validator("tracking")
    @classmethod
    def _each_tracker_once(cls, names: list[TrackerName]) -> list[TrackerName]:
        if len(set(names)) < len(names):
            raise ValueError("a tracker is named twice")
        return names

    @field_validator("benchmarks")
    @classmethod
    def _each_benchmark_once(cls, given: list[BenchmarkConfig]) -> list[BenchmarkConfig]:
        if len({one.model_dump_json() for one in given}) < len(given):
            raise ValueError("a benchmark is named twice with the same settings")
        return given

    def engines(self) -> dict[str, EngineSpec]:
        """The engines that this run brings along, by role."""
        roles = {"teacher": self.teacher, "assessor": self.assessor, "augmentor": self.augmentor}
        return {role: section.engine for role, section in roles.items() if section.engine is not None}

    def prices(self) -> dict[str, Price]:
        """What tokens cost, by role; a role that is not there costs nothing."""
        return {role: section.price for role, section in self._roles().items() if section.price is not None}

    def with_prices(self, prices: Mapping[LoopRole, Price | None]) -> "RunConfig":
        """The same with other prices; None takes a role's price away."""
        roles = self._roles()
        changed: dict[str, Section] = {
            role: roles[role].model_copy(update={"price": price}) for role, price in prices.items()
        }
        return self.model_copy(update=changed)

    def _roles(self) -> dict[str, RoleConfig | StudentConfig]:
        return {
            "teacher": self.teacher,
            "assessor": self.assessor,
            "augmentor": self.augmentor,
            "student": self.student,
        }

    def with_budget(self, limit: float | None) -> "RunConfig":
        """The same with another limit; None takes it away."""
        return self.model_copy(update={"budget": None if limit is None else BudgetConfig(limit=limit)})


def parse_run_config(values: Mapping[str, Any]) -> RunConfig:
    """RunConfig from TOML or JSON values; Unprocessable with the key's name and what is allowed there."""
    try:
        return RunConfig.model_validate(dict(values))
    except ValidationError as error:
        allowed = [line for item in error.errors() if (line := _allowed(item["type"], item["loc"]))]
        raise Unprocessable("\n".join([explain(error), *dict.fromkeys(allowed)])) from error


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Sections are merged key by key; anything else replaces what was there."""
    result = dict(values)
    for name, change in changes.items():
        known = result.get(name)
        both = isinstance(known, Mapping) and isinstance(change, Mapping)
        result[name] = merged(known, change) if both else change  # type: ignore[arg-type]
    return result


def _allowed(kind: str, loc: tuple[int | str, ...]) -> str | None:
    """The keys that stand beside an unknown one."""
    if kind != "extra_forbidden":
        return None
    model: Any = RunConfig
    for part in loc[:-1]:
        annotation = model.model_fields[str(part)].annotation
        choices = (annotation, *getattr(annotation, "__args__", ()))  # a section may be optional
        model = next(choice for choice in choices if hasattr(choice, "model_fields"))
    where = ".".join(str(part) for part in loc[:-1]) or "the top level"
    return f"allowed in {where}: {', '.join(known_keys(model))}"
