"""Runs a trainer's job without its service: for tests of many small jobs with different settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from safetensors.torch import load_file

from services.trainer.checkpoints import Checkpoints
from services.trainer.devices import devices_of
from services.trainer.jobs import Asked, Jobs
from services.trainer.launch.warm_parent import WarmParent
from services.trainer.plan import plan_of
from services.trainer.settings import Hyperparameters, TrainerSettings
from services.trainer.steps import Steps


@dataclass(frozen=True)
class Ran:
    """What came of a job."""

    checkpoint: Path
    losses: list[float]
    metrics: dict[str, Any]

    @property
    def weights(self) -> dict[str, Any]:
        return dict(load_file(self.checkpoint / "model.safetensors"))


class JobRuns:
    """One warm parent, and a folder for all jobs."""

    def __init__(self, folder: Path, parent: WarmParent):
        self.folder, self.parent = folder, parent
        self.jobs = Jobs(folder / "jobs")

    async def run(self, student: Path, training_file: Path, settings: dict[str, Any], **asked: Any) -> Ran:
        """Prepare, train and publish. JobFailed where the job fails."""
        own = {"image_store": str(self.folder / "images"), "tracking": [], "preparers": 1, **settings}
        given = TrainerSettings(**own)
        parameters = Hyperparameters(
            **{"batch_size": 8, "learning_rate": 1e-2, **asked.pop("hyperparameters", {})}
        )
        known = {
            "training_file": "file-1",
            "model": "base",
            "suffix": None,
            "seed": 3,
            "stage": "tune",
            "owner": None,
        }
        job = self.jobs.create(Asked(**{**known, **asked}, hyperparameters=parameters), None)
        self.jobs.move(job.id, "running")
        folder, devices = self.jobs.folder(job.id), devices_of(given, await self.parent.ready())
        plan = plan_of(job, student, training_file, folder, given, devices)
        steps = Steps(job, plan, self.jobs, self.parent, given.preparers, lambda: None)
        checkpoints = Checkpoints(self.folder / "checkpoints", {}).folder
        about = {**job.asked.model_dump(), "job": job.id, "lineage": ["base"]}
        name = await steps.run(about, checkpoints)
        lines = [orjson.loads(line) for line in plan.progress.read_text().splitlines()]
        losses = [line["loss"] for line in lines if line["kind"] == "step"]
        return Ran(checkpoints / name, losses, self.jobs.get(job.id).metrics)


@asynccontextmanager
async def job_runs(folder: Path) -> AsyncIterator[JobRuns]:
    """A warm parent, ended at the end."""
    parent = WarmParent()
    await parent.start()
    try:
        yield JobRuns(folder, parent)
    finally:
        await parent.close()
