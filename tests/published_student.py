"""A tiny checkpoint as the trainer publishes it. In: a folder, an image store, a seed. Out: the checkpoint's folder."""

from pathlib import Path

import torch

from comd.engine.model import load
from services.trainer.devices import devices_of
from services.trainer.jobs import Asked, Job
from services.trainer.plan import plan_of
from services.trainer.settings import TrainerSettings
from services.trainer.training.publish import publish
from shared.images import ImageStore
from tests.tiny_student import make_student, training_file


def published(folder: Path, store: ImageStore, seed: int = 0, change: float = 0.0) -> Path:
    """A student with decided answers; `change` alters how sure it is of them, but not the answers."""
    asked = Asked(training_file="file-1", model="tiny", seed=1, stage="tune")
    job = Job(id=f"ftjob-{seed}-{change}", number=1, asked=asked, created_at=0)
    settings = TrainerSettings(image_store=store.url)
    file = training_file(folder / "train.jsonl", store)
    base = make_student(folder / f"base-{seed}", seed, hidden=64)
    plan = plan_of(job, base, file, folder / job.id, settings, devices_of(settings, 0))
    made = load("draft", make_student(plan.weights, seed, hidden=64), None)
    with torch.no_grad():
        made.model.lm_head.weight.mul_(20 * (1 + change))
    made.model.save_pretrained(plan.weights)
    checkpoints = folder / "checkpoints"
    return checkpoints / publish(plan, checkpoints, {**asked.model_dump(), "lineage": ["tiny"]})
