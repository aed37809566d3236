"""What an ablation runs. In: a TOML file. Out: a frozen plan whose every arm is a checked run configuration."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from services.coordinator.run_config import RunConfig, merged, parse_run_config
from shared.errors import ConfigError, Unprocessable
from shared.settings import explain, read_toml

AFTER_THE_FIRST_TRAINING = {"tau", "selection", "augmentation", "assessor", "augmentor", "early_stop"}
"""Settings that say nothing about what comes before the first assessment."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class World(Section):
    """The demo's world at another size."""

    pictures: int = Field(ge=1, description="of the training data, with two questions each")
    heldout_per_kind: int = Field(ge=1, description="held-out questions of each of the five kinds")


class Arm(Section):
    name: str = Field(min_length=1, max_length=60, pattern=r"^[^|\n]+$")
    stands_for: str = Field(min_length=1, description="what of the paper, or which control")
    changes: dict[str, Any] = Field({}, description="settings that differ from [run]; sections are merged")
    without: list[str] = Field([], description="sections of [run] that this arm does not have")


class Ablation(Section):
    """The first arm is the base: `[run]` as it stands, which the others are compared with."""

    title: str
    seeds: int = Field(5, ge=1)
    world: World
    run: dict[str, Any]
    arms: list[Arm] = Field(min_length=1)

    @field_validator("arms")
    @classmethod
    def _arms_can_be_told_apart(cls, arms: list[Arm]) -> list[Arm]:
        if arms and (arms[0].changes or arms[0].without):
            raise ValueError(f"the first arm ({arms[0].name}) is the base, so it has no changes")
        names = [arm.name for arm in arms]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"arms of the same name: {', '.join(twice)}")
        return arms

    @model_validator(mode="after")
    def _every_arm_can_run(self) -> "Ablation":
        for arm in self.arms:
            if absent := sorted(set(arm.without) - set(self.run)):
                raise ValueError(f"arm {arm.name}: [run] has no {', '.join(absent)} to leave out")
            try:
                config = self.config(arm, 0)
            except Unprocessable as error:
                raise ValueError(f"arm {arm.name}: {error.message}") from error
            if config.evaluation is None:
                raise ValueError(f"arm {arm.name}: without [evaluation] nothing is measured")
        return self

    @property
    def base(self) -> Arm:
        return self.arms[0]

    def config(self, arm: Arm, seed: int) -> RunConfig:
        """The arm's settings, with the seed of its world."""
        kept = {name: value for name, value in self.run.items() if name not in arm.without}
        return parse_run_config({**merged(kept, arm.changes), "seed": seed})

    def branches(self, arm: Arm) -> bool:
        """Whether the arm is the base up to its first assessment, so that it can go on from there."""
        before = self.config(self.base, 0).model_dump(exclude=AFTER_THE_FIRST_TRAINING)
        return arm != self.base and self.config(arm, 0).model_dump(exclude=AFTER_THE_FIRST_TRAINING) == before


def read_ablation(path: Path) -> Ablation:
    """ConfigError that names the key where the file cannot be used."""
    try:
        return Ablation.model_validate(read_toml(path))
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error)}") from error
