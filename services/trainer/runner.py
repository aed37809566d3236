"""What the trainer's devices do, one thing at a time. In: jobs and leases. Out: trained, published, loaded
students. One loop decides; it acts for whoever holds the lease.
"""

import asyncio
import signal
import time
from pathlib import Path

from prometheus_client import Counter, Gauge

from services.trainer.checkpoints import Checkpoints
from services.trainer.files import Files
from services.trainer.jobs import Job, Jobs
from services.trainer.launch.warm_parent import Program, WarmParent
from services.trainer.lease import Lease
from services.trainer.plan import plan_of, rendezvous
from services.trainer.progress import Progress
from services.trainer.serving.engine import CanaryDisagrees, Engine
from services.trainer.settings import TrainerSettings
from shared import logs
from shared.errors import ComdError

log = logs.get(__name__)
POLL_S = 0.2
jobs_total = Counter("comd_trainer_jobs_total", "Finished fine-tuning jobs", ["status"])
job_running = Gauge("comd_trainer_job_running", "1 while a fine-tuning job runs")


class Runner:
    """The loop; `wake` makes it look again at once."""

    def __init__(
        self,
        settings: TrainerSettings,
        parent: WarmParent,
        engine: Engine,
        stores: tuple[Files, Jobs, Checkpoints],
        lease: Lease,
    ):
        self.settings, self.parent, self.engine, self.lease = settings, parent, engine, lease
        self.files, self.jobs, self.checkpoints = stores
        self._wake = asyncio.Event()
        self._cancelled: set[str] = set()

    def wake(self) -> None:
        self._wake.set()

    def cancel(self, job_id: str) -> Job:
        """A waiting job is over at once, a running one as soon as its processes are gone."""
        job = self.jobs.get(job_id)
        if job.status == "queued":
            job = self.jobs.move(job_id, "cancelled")
            self._let_go(job)
        elif job.status == "running":
            self._cancelled.add(job_id)
        self.wake()
        return job

    async def run(self) -> None:
        """For ever: do the next thing, or wait."""
        for job in self.jobs.all():
            if job.status == "running":  # the service was restarted: from its start, equal by its seed
                self.jobs.move(job.id, "queued")
        for job in self.jobs.waiting():
            self.lease.ask(job.owner, None, time.time())
        while True:
            self._wake.clear()
            try:
                acted = await self.step()
            except Exception as error:
                log.error("runner_failed", exc_info=error)
                acted = False
                await asyncio.sleep(1)
            if not acted:
                await self._pause(1.0)

    async def step(self) -> bool:
        """One thing for the holder of the lease; whether there was one."""
        now = time.time()
        for owner in self.lease.expire(now, {job.owner for job in self.jobs.waiting()}):
            log.warning("lease_expired", owner=owner, ttl_s=self.settings.lease_ttl_s)
        if (holder := self.lease.holder) is None:
            return False
        if waiting := self.jobs.waiting(holder.owner):
            await self._job(waiting[0])
            return True
        if holder.checkpoint is not None and holder.checkpoint != self.engine.loaded:
            await self._load(holder.checkpoint)
            return True
        return False

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _load(self, checkpoint: str) -> None:
        try:
            await self.engine.load(checkpoint, self.checkpoints.path(checkpoint))
        except CanaryDisagrees:
            raise  # asking again would not help
        except ComdError as error:
            log.error("load_failed", checkpoint=checkpoint, error=error.message)
            await asyncio.sleep(1)

    async def _job(self, job: Job) -> None:
        await self.engine.sleep()
        self.jobs.move(job.id, "running", metrics={}, error=None)
        job_running.set(1)
        log.info("job_started", job=job.id, stage=job.asked.stage, model=job.asked.model)
        try:
            checkpoint = await self._train_and_publish(job)
            if self.lease.entry(job.owner) is not None:  # else it was given back, and nobody waits to ask
                self.lease.ask(job.owner, checkpoint, time.time())
                await self._load(checkpoint)
                self.jobs.note(job.id, {"swap": dict(self.engine.swap)})
            tokens = self.jobs.get(job.id).metrics.get("trained_tokens")
            self.jobs.move(job.id, "succeeded", fine_tuned_model=checkpoint, trained_tokens=tokens)
        except Cancelled:
            self.jobs.move(job.id, "cancelled")
        except ComdError as error:
            said = {"code": error.error_code, "message": error.message, "param": None}
            self.jobs.move(job.id, "failed", error=said)
        finally:
            job_running.set(0)
            self._cancelled.discard(job.id)
        over = self.jobs.get(job.id)
        jobs_total.labels(over.status).inc()
        log.info("job_over", job=job.id, status=over.status, error=over.error)
        self.lease.touch(job.owner, time.time())
        self._let_go(over)

    def _let_go(self, job: Job) -> None:
        """A job that nobody held the lease for has it only for itself."""
        if job.asked.owner is None:
            self.lease.give_back(job.id)

    async def _train_and_publish(self, job: Job) -> str:
        folder = self.jobs.folder(job.id)
        model = self.checkpoints.path(job.asked.model)
        plan = plan_of(job, model, self.files.path(job.asked.training_file), folder, self.settings)
        progress = Progress(job.id, folder, self.jobs)
        ranks = self.settings.num_devices
        training = await self.parent.run("train", plan, folder / "log.txt", rendezvous(ranks), ranks)
        await self._until_over(training, job, progress)
        about = {**job.asked.model_dump(), "created_at": int(time.time()), "metrics": progress.metrics}
        arguments = {
            "weights": str(folder / "weights"),
            "checkpoints": str(self.checkpoints.folder),
            "about": {**about, "job": job.id},
            "result": str(folder / "published"),
            "training_file": str(self.files.path(job.asked.training_file)),
            "image_store": self.settings.image_store,
        }
        publishing = await self.parent.run("publish", arguments, folder / "log.txt")
        await self._until_over(publishing, job, progress)
        return (folder / "published").read_text()

    async def _until_over(self, program: Program, job: Job, progress: Progress) -> None:
        while not program.exited.done():
            if job.id in self._cancelled:
                await self.parent.kill(program, signal.SIGKILL)
            await asyncio.wait({program.exited}, timeout=POLL_S)
            progress.read()
        if job.id in self._cancelled:
            raise Cancelled
        if status := program.exited.result():
            raise JobFailed(cause(self.jobs.folder(job.id) / "log.txt", status))


class Cancelled(Exception):
    """Somebody cancelled the job while it ran."""


class JobFailed(ComdError):
    code = "training_failed"


def cause(log_file: Path, status: int) -> str:
    """Why a program failed: the error it named, else the last lines of its log."""
    lines = log_file.read_text(errors="replace").splitlines() if log_file.is_file() else []
    for line in reversed(lines[-50:]):
        if line.startswith("error: "):
            return line.removeprefix("error: ")
    last = "\n".join(lines[-8:])[-1500:]
    return f"the training program ended with status {status}; the last lines of its log:\n{last}"
