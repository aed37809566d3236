"""Stage 1 at a trainer. In: a caption selection and a base student. Out: the aligned checkpoint and its losses.

The job belongs to the trainer: whoever stops watching stops nothing, and the same request finds it again.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from comd.progress import WorkDisplay
from comd.report.line_chart import Axis, line_chart, smoothed
from comd.trainer import Losses, Trainer
from comd.training_lines import Written, write_lines
from comd.watch import patiently
from services.trainer.captions.sizing import about_how_many
from shared.errors import ComdError
from shared.identity import digest
from shared.images import ImageStore
from shared.types import JsonObject

POLL_S = 0.5
MOST_POINTS = 400
OVER = {"succeeded", "failed", "cancelled", "paused"}


@dataclass(frozen=True)
class Request:
    captions: Path
    images: Path
    base: str
    image_store: str
    hyperparameters: JsonObject
    seed: int


@dataclass(frozen=True)
class Aligned:
    """What came of it: the checkpoint, the job, its losses by step, and what of the captions was refused."""

    checkpoint: str
    job: JsonObject
    losses: Losses
    written: Written


def pretrain(request: Request, trainer: Trainer, console: Console, poll_s: float = POLL_S) -> Aligned:
    """Captions to a training file, to a job, to its end. ComdError where the job does not end well."""
    with tempfile.TemporaryDirectory(prefix="comd-") as folder:
        file = Path(folder) / f"{request.captions.stem}.jsonl"
        written = _write(request, file, console)
        with console.status("the trainer checks the training file"):
            file_id = trainer.upload(file)
    job = _job(request, trainer, file_id)
    console.print(f"Job {job['id']} at the trainer; the same command finds it again.", soft_wrap=True)
    job = _follow(trainer, job["id"], console, poll_s)
    return Aligned(str(job["fine_tuned_model"]), job, trainer.losses(job["id"]), written)


def loss_curve(losses: Losses, title: str) -> str:
    """The losses as an SVG file's text; where there are many steps, means of neighbouring ones."""
    lines = {"training loss": smoothed(losses, MOST_POINTS)}
    return line_chart(lines, Axis("step"), Axis("loss"), title, alone=True)


def _write(request: Request, file: Path, console: Console) -> Written:
    total = about_how_many([request.captions])
    with WorkDisplay(console, "reading pairs and pictures", "pairs") as display:

        def progress(done: int) -> None:
            display.show(done, max(total, done))

        return write_lines(request.captions, request.images, ImageStore(request.image_store), file, progress)


def _job(request: Request, trainer: Trainer, file_id: str) -> JsonObject:
    """The job of this very request: the one that there is, but for those that failed or were cancelled."""
    body = {
        "training_file": file_id,
        "model": request.base,
        "suffix": request.captions.stem[:64],
        "seed": request.seed,
        "stage": "pretrain",
        "hyperparameters": request.hyperparameters,
        "metadata": {"dataset": request.captions.name[:512]},
    }
    attempt = 0
    while True:
        job = trainer.create_job(body, digest("pretrain", body, attempt))
        if job["status"] not in {"failed", "cancelled"}:
            return job
        attempt += 1


def _follow(trainer: Trainer, job_id: str, console: Console, poll_s: float) -> JsonObject:
    ask: Callable[[str], JsonObject] = trainer.job
    with WorkDisplay(console, "training the projector", "steps") as display:
        while (job := patiently(ask, job_id))["status"] not in OVER:
            metrics = job.get("metrics") or {}
            if metrics.get("total_steps") and metrics.get("step") is not None:
                display.show(int(metrics["step"]), int(metrics["total_steps"]), _loss(metrics))
            elif job["status"] == "queued":
                display.show(0, None, "the trainer is busy with other jobs")
            time.sleep(poll_s)
    if job["status"] == "succeeded":
        return job
    why = (job.get("error") or {}).get("message") or job.get("reason") or "somebody did that at the trainer"
    todo = (
        f"resume it with POST /v1/fine_tuning/jobs/{job_id}/resume, then give this command again"
        if job["status"] == "paused"
        else "mend that and give this command again"
    )
    raise ComdError(f"job {job_id} is {job['status']}: {why}; {todo}")


def _loss(metrics: JsonObject) -> str:
    return f"loss {metrics['loss']:.3f}" if metrics.get("loss") is not None else ""
