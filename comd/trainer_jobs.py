"""A job at a trainer, from its request to its end. In: what is asked of it. Out: the job, and its losses as a curve.

The job belongs to the trainer: whoever stops watching stops nothing, and the same request finds it again.
"""

import time
from collections.abc import Callable

from rich.console import Console

from comd.progress import WorkDisplay
from comd.report.line_chart import Axis, line_chart, smoothed
from comd.trainer import Losses, Trainer
from comd.watch import patiently
from shared.errors import ComdError
from shared.identity import digest
from shared.types import JsonObject

POLL_S = 0.5
MOST_POINTS = 400
OVER = {"succeeded", "failed", "cancelled", "paused"}


def begin(trainer: Trainer, body: JsonObject, console: Console) -> JsonObject:
    """The job of this very request: the one that there is, but for those that failed or were cancelled."""
    attempt = 0
    while True:
        job = trainer.create_job(body, digest(body["stage"], body, attempt))
        if job["status"] not in {"failed", "cancelled"}:
            break
        attempt += 1
    console.print(f"Job {job['id']} at the trainer; the same command finds it again.", soft_wrap=True)
    return job


def follow(trainer: Trainer, job_id: str, what: str, console: Console, poll_s: float = POLL_S) -> JsonObject:
    """The job when it has succeeded, its progress shown until then. ComdError where it does not end well."""
    ask: Callable[[str], JsonObject] = trainer.job
    with WorkDisplay(console, what, "steps") as display:
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


def loss_curve(losses: Losses, title: str) -> str:
    """The losses as an SVG file's text; where there are many steps, means of neighbouring ones."""
    lines = {"training loss": smoothed(losses, MOST_POINTS)}
    return line_chart(lines, Axis("step"), Axis("loss"), title, alone=True)


def _loss(metrics: JsonObject) -> str:
    return f"loss {metrics['loss']:.3f}" if metrics.get("loss") is not None else ""
