"""How a model is measured on a benchmark: the settings, as a run's configuration and requests give them.

The defaults are the paper's (section 4) where it gives a number; what depends on the benchmark is filled in there.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.types import EngineSpec

Method = Literal["letter", "likelihood"]


class EvaluationSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    method: Method = Field(
        "letter", description="of choosing: the letter that the model writes, or the likeliest choice"
    )
    with_images: bool = Field(True, description="false: the questions alone")
    temperature: float | None = Field(None, ge=0, le=2, description="default: the paper's for the benchmark")
    max_tokens: int | None = Field(None, ge=1, description="default: by the benchmark")
    seed: int = Field(0, ge=0)
    judge: EngineSpec | None = Field(None, description="of llava-bench; default: the assessor's own engine")
    judge_sees: Literal["image", "context"] = Field(
        "image", description="context: captions and boxes as text in place of the picture"
    )
    max_failed_share: float | None = Field(
        0.02, ge=0, le=1, description="of the questions; where more failed it is paused and asks; null: never"
    )


class BenchmarkConfig(EvaluationSettings):
    """A benchmark that a run's student is measured on after each training."""

    benchmark: str

    @property
    def settings(self) -> EvaluationSettings:
        return EvaluationSettings.model_validate(self.model_dump(exclude={"benchmark"}))


class TestedModel(BaseModel):
    """Whom an evaluation measures, as a request names him: exactly one of the four."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    engine: EngineSpec | None = Field(None, description="any OpenAI-compatible server")
    role: Literal["teacher"] | None = Field(None, description="the teacher service as it is")
    checkpoint: str | None = Field(None, min_length=1, description="a student of the trainer's")
    run: str | None = Field(None, description="whose student; with `iteration`")
    iteration: int | None = Field(None, ge=0, description="default: the newest that has a student")

    @model_validator(mode="after")
    def _exactly_one(self) -> "TestedModel":
        given = [name for name in ("engine", "role", "checkpoint", "run") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"expected exactly one of engine, role, checkpoint and run, got {', '.join(given) or 'none'}"
            )
        if self.iteration is not None and self.run is None:
            raise ValueError("iteration belongs to run; name the run too")
        return self
