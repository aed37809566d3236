"""Training (step 2): merge the answered pool into a file, hand it to the trainer, watch the job.

Stage 1 (`pretraining`) does the same with captions. The file's content is its name at the trainer.
"""

import tempfile
from pathlib import Path

import orjson

from services.coordinator.merge import answered, images, training_line
from services.coordinator.phases.drive import Drive, Outcome, RunFailed
from services.coordinator.phases.training_curve import keep_curve
from services.coordinator.repositories import iterations, pools, training_points
from services.coordinator.run_config import RunConfig
from shared.identity import digest, request_seed
from shared.types import JsonObject

METADATA_CHARACTERS = 512  # of one value; OpenAI's bound


async def training(drive: Drive, iteration: JsonObject) -> Outcome:
    """Stage 2: the student learns from the iteration's tuning pool, starting from its latest weights."""
    if iteration["job_id"] is None:
        await _hand_in(drive, iteration, "tune")
        return Outcome.GOES_ON
    return await _watch(drive, iteration)


async def pretraining(drive: Drive, iteration: JsonObject) -> Outcome:
    """Stage 1: the projector learns from the captions."""
    if iteration["job_id"] is None:
        await _hand_in(drive, iteration, "pretrain")
        return Outcome.GOES_ON
    return await _watch(drive, iteration)


async def _hand_in(drive: Drive, iteration: JsonObject, stage: str) -> None:
    number, trainer = iteration["number"], drive.office.trainer
    await drive.show(iteration, waiting="the training file is being written and handed in")
    with tempfile.TemporaryDirectory(prefix="comd-") as folder:
        file = Path(folder) / f"{stage}-{number}.jsonl"
        if not await _write(drive, number, stage, file):
            raise RunFailed(
                f"iteration {number}: there is nothing to train on; its {stage} data has no answered instruction"
            )
        file_id = await trainer.upload(file)
    async with drive.office.leader.transaction() as c:
        base = await iterations.newest_checkpoint(c, drive.run_id, number) or drive.config.student.base
    failed_before = (iteration["training"] or {}).get("failed_jobs", 0)
    body = {
        "training_file": file_id,
        "model": base,
        "suffix": f"{drive.run['name']}-{number}"[:64],
        "seed": request_seed(drive.config.seed, "trainer", None, stage, number),
        "stage": stage,
        "adaptation": drive.config.training.adaptation if stage == "tune" else "full",
        "hyperparameters": hyperparameters(drive.config, number, stage),
        "metadata": metadata(drive.run, iteration, _dataset(drive, stage)),
    }
    key = digest("job", drive.run_id, number, stage, failed_before)
    await drive.note_lease(True)
    job = await trainer.create_job(body, key, drive.run_id)
    async with drive.office.leader.transaction() as c:
        await training_points.forget(c, drive.run_id, number)  # of a job that failed
        await iterations.record(c, drive.run_id, number, job_id=job["id"])


def metadata(run: JsonObject, iteration: JsonObject, dataset: str) -> dict[str, str]:
    """Where a job's data come from, for the student's model card. OpenAI's form: short texts alone."""
    said = {
        "run": run["id"],
        "run_name": run["name"],
        "iteration": iteration["number"],
        "dataset": dataset,
        "tuning_pool": iteration["tuning_pool"],  # None in stage 1, which has no pools
        "cache_pool": iteration["cache_pool"],
    }
    return {name: str(value)[:METADATA_CHARACTERS] for name, value in said.items() if value is not None}


def _dataset(drive: Drive, stage: str) -> str:
    if stage == "tune":
        return str(drive.run["dataset"])
    assert drive.config.pretraining is not None, "the phase is left out of a run without stage 1"
    return drive.config.pretraining.dataset


def hyperparameters(config: RunConfig, number: int, stage: str) -> JsonObject:
    """What the trainer is told of a stage; what is not set is the trainer's to choose."""
    if stage == "pretrain":
        assert config.pretraining is not None, "the phase is left out of a run without stage 1"
        given = config.pretraining.model_dump(exclude={"dataset"})
    else:
        given = config.training.model_dump(exclude={"first_epochs", "steps", "adaptation"}, exclude_none=True)
        if number == 1 and config.training.first_epochs is not None:
            given["epochs"] = config.training.first_epochs
        elif config.training.steps is not None:
            given["max_steps"] = config.training.steps
    given["n_epochs"] = given.pop("epochs")
    return given


async def _watch(drive: Drive, iteration: JsonObject) -> Outcome:
    job = await drive.office.trainer.job(iteration["job_id"])
    await keep_curve(drive, iteration["number"], job)
    metrics = job.get("metrics") or {}
    status = job.get("status")
    if status in {"failed", "cancelled"}:
        await _forget_job(drive, iteration)
        said = (job.get("error") or {}).get("message") or f"it was {status} at the trainer"
        raise RunFailed(f"iteration {iteration['number']}: training job {job['id']} {status}: {said}")
    if status == "succeeded":
        async with drive.office.leader.transaction() as c:
            await iterations.record(
                c,
                drive.run_id,
                iteration["number"],
                checkpoint=job["fine_tuned_model"],
                train_loss=metrics.get("train_loss"),
                training=metrics,
            )
        return Outcome.OVER
    await drive.show(
        iteration,
        metrics.get("step"),
        metrics.get("total_steps"),
        unit="steps",
        waiting=_waiting(job),
        time_left_s=metrics.get("time_left_s"),
        loss=metrics.get("loss"),
        learning_rate=metrics.get("learning_rate"),
        samples_per_s=metrics.get("samples_per_s"),
    )
    return Outcome.GOES_ON


def _waiting(job: JsonObject) -> str | None:
    """Why the job does not move, for a person."""
    if job.get("status") == "paused":
        return f"the training job {job['id']} is paused at the trainer: {job.get('reason') or 'somebody paused it'}"
    return "the trainer is busy with another run" if job.get("status") == "queued" else None


async def _forget_job(drive: Drive, iteration: JsonObject) -> None:
    """So that a resumed run hands in a new job."""
    failed_before = (iteration["training"] or {}).get("failed_jobs", 0)
    async with drive.office.leader.transaction() as c:
        await iterations.record(
            c, drive.run_id, iteration["number"], job_id=None, training={"failed_jobs": failed_before + 1}
        )


async def _write(drive: Drive, number: int, stage: str, file: Path) -> int:
    """The number of lines. The rows come image by image, so that no more than a batch is in memory."""
    engine = drive.office.leader.engine
    if stage == "pretrain":
        batches = pools.references(engine, _dataset(drive, stage))
    else:
        batches = pools.by_image(engine, drive.run_id, "tuning", number)
    num_lines = 0
    with file.open("wb") as out:
        async for image, rows in images(batches):
            if items := answered(rows):
                out.write(orjson.dumps(training_line(image, items), option=orjson.OPT_APPEND_NEWLINE))
                num_lines += 1
    return num_lines
