"""What the trainer knows, as OpenAI's API shows it. In: a job. Out: the objects `fine_tuning.job` and
`fine_tuning.job.checkpoint`, with our own stage, adaptation and metrics beside.
"""

import time

from services.trainer.hyperparameters import MULTIPLIER
from services.trainer.jobs import Job
from services.trainer.settings import LEARNING_RATES
from shared.types import JsonObject


def job_object(job: Job) -> JsonObject:
    parameters = _hyperparameters(job)
    return {
        "id": job.id,
        "object": "fine_tuning.job",
        "created_at": job.created_at,
        "finished_at": job.finished_at,
        "status": job.status,
        "model": job.asked.model,
        "fine_tuned_model": job.fine_tuned_model,
        "organization_id": "comd",
        "result_files": [],
        "training_file": job.asked.training_file,
        "validation_file": None,
        "user_provided_suffix": job.asked.suffix,
        "seed": job.asked.seed,
        "stage": job.asked.stage,
        "adaptation": job.asked.adaptation,
        "hyperparameters": parameters,
        "method": {"type": "supervised", "supervised": {"hyperparameters": parameters}},
        "metadata": job.asked.metadata,
        "trained_tokens": job.trained_tokens,
        "estimated_finish": _estimated_finish(job),
        "integrations": [],
        "error": job.error,
        "reason": job.reason,
        "metrics": job.metrics,
    }


def checkpoint_objects(job: Job) -> list[JsonObject]:
    """The one checkpoint that a job publishes, once it has."""
    if job.fine_tuned_model is None:
        return []
    metrics = {"step": job.metrics.get("step"), "train_loss": job.metrics.get("train_loss")}
    return [
        {
            "id": job.fine_tuned_model,
            "object": "fine_tuning.job.checkpoint",
            "created_at": job.finished_at,
            "fine_tuned_model_checkpoint": job.fine_tuned_model,
            "fine_tuning_job_id": job.id,
            "step_number": job.metrics.get("step"),
            "metrics": metrics,
        }
    ]


def _hyperparameters(job: Job) -> JsonObject:
    """Every value that counts, none left at "auto"; the learning rate by OpenAI's name too."""
    paper = LEARNING_RATES[job.asked.stage]
    given = job.asked.hyperparameters.model_dump(exclude_none=True)
    rate = given.get("learning_rate", paper)
    return {**given, "learning_rate": rate, MULTIPLIER: float(f"{rate / paper:.12g}")}


def _estimated_finish(job: Job) -> int | None:
    left_s = job.metrics.get("time_left_s")
    if job.status != "running" or left_s is None:
        return None
    return int(time.time() + left_s)
