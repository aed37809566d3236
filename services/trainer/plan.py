"""A job as its ranks are told of it. In: the job, its paths, the settings. Out: the plan and environment."""

import shutil
from pathlib import Path
from typing import Any, TypedDict

from services.trainer.jobs import Job
from services.trainer.serving.student_engine import free_port
from services.trainer.settings import LEARNING_RATES, Stage, TrainerSettings


class Plan(TypedDict):
    """All that a rank must know."""

    model: str
    training_file: str
    folder: str
    image_store: str
    stage: Stage
    seed: int
    n_epochs: int
    batch_size: int
    learning_rate: float
    warmup_ratio: float
    max_length: int
    micro_batch_size: int | None
    zero_stage: int
    dtype: str
    threads: int


def plan_of(
    job: Job, model: Path, training_file: Path, folder: Path, settings: TrainerSettings
) -> dict[str, Any]:
    """The plan of a job that starts from nothing: what an earlier attempt left is removed."""
    for name in ("weights", "trainer"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("progress.jsonl", "published", "log.txt"):
        (folder / name).unlink(missing_ok=True)
    asked = job.asked
    plan: Plan = {
        **asked.hyperparameters.model_dump(),  # type: ignore[typeddict-item]
        "learning_rate": asked.hyperparameters.learning_rate or LEARNING_RATES[asked.stage],
        "model": str(model.absolute()),
        "training_file": str(training_file.absolute()),
        "folder": str(folder.absolute()),
        "image_store": settings.image_store,
        "stage": asked.stage,
        "seed": asked.seed,
        "micro_batch_size": settings.micro_batch_size,
        "zero_stage": settings.zero_stage,
        "dtype": settings.dtype,
        "threads": settings.threads,
    }
    return dict(plan)


def rendezvous(ranks: int) -> dict[str, str]:
    """The environment in which the ranks find each other."""
    return {
        "WORLD_SIZE": str(ranks),
        "LOCAL_SIZE": str(ranks),  # else DeepSpeed runs `numactl` at every step to count a CPU's devices
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }
