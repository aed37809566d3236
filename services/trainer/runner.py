"""What the trainer's devices do, one thing at a time. In: jobs and leases. Out: trained, published, loaded
students. One loop decides; it acts for whoever holds the lease.
"""

import asyncio
import time
from typing import Any

from prometheus_client import Counter, Gauge

from services.trainer import durable
from services.trainer.checkpoints import Checkpoints
from services.trainer.devices import devices_of
from services.trainer.files import Files
from services.trainer.jobs import Job, Jobs, Status
from services.trainer.launch.warm_parent import WarmParent
from services.trainer.lease import Lease
from services.trainer.plan import plan_of
from services.trainer.serving.engine import CanaryDisagrees, Engine
from services.trainer.settings import TrainerSettings
from services.trainer.steps import Cancelled, Paused, Steps, StopReason, clean, start_over
from shared import logs
from shared.errors import ComdError, Conflict

log = logs.get(__name__)
FULL_DISK_PAUSE_S = 5.0
WRONG_PAUSE_S = 30.0  # before an engine that serves a student wrongly is started once more
RESERVED_BYTES = 1024 * 1024
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
        self.reserve = self.jobs.root.parent / "reserve"
        self._wake = asyncio.Event()
        self._asked_to: dict[str, StopReason] = {}  # running jobs that somebody wants to end

    def wake(self) -> None:
        self._wake.set()

    def cancel(self, job_id: str) -> Job:
        """A waiting job is over at once, a running one as soon as its processes are gone; one that is over stays."""
        job = self.jobs.get(job_id)
        return job if job.over else self._stop(job, "cancelled", Cancelled)

    def pause(self, job_id: str) -> Job:
        """A waiting job is paused at once, a running one when its step is done and its state is saved."""
        return self._stop(self.jobs.get(job_id), "paused", Paused)

    def resume(self, job_id: str, from_start: bool = False) -> Job:
        """A paused job queues again. Conflict where it is not paused."""
        job = self.jobs.get(job_id)
        if job.status != "paused":
            raise Conflict(f"job {job_id} is {job.status}; only a paused job can be resumed")
        if from_start:
            start_over(self.jobs.folder(job_id))
        job = self.jobs.move(job_id, "queued")
        self.lease.ask(job.owner, None, time.time())
        self.wake()
        return job

    def _stop(self, job: Job, status: Status, how: StopReason) -> Job:
        if job.status == "running":
            self._asked_to[job.id] = how
        else:
            job = self.jobs.move(job.id, status)
            self._let_go(job)
            if job.over:
                clean(self.jobs.folder(job.id))
        self.wake()
        return job

    async def run(self) -> None:
        """For ever: do the next thing, or wait."""
        for job in self.jobs.all():
            if job.status == "running":  # the service was restarted: it goes on behind its last whole step
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
            try:
                await self._load(holder.checkpoint)
            except CanaryDisagrees as error:
                log.error("student_served_wrongly", checkpoint=holder.checkpoint, error=error.message)
                await asyncio.sleep(WRONG_PAUSE_S)
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
            await self._work(job)
        except Cancelled:
            await self._settle(job, "cancelled")
        except Paused as reason:
            log.warning("job_paused", job=job.id, reason=str(reason))
            await self._settle(job, "paused", reason=str(reason))
        except ComdError as error:
            said = {"code": error.code, "message": error.message, "param": None}
            await self._settle(job, "failed", error=said)
        except Exception as error:
            log.error("job_broke", job=job.id, exc_info=error)
            said = {"code": "internal_error", "message": f"{type(error).__name__}: {error}", "param": None}
            await self._settle(job, "failed", error=said)
        finally:
            job_running.set(0)
            self._asked_to.pop(job.id, None)
        over = self.jobs.get(job.id)
        if over.over:
            await asyncio.to_thread(clean, self.jobs.folder(job.id))
        jobs_total.labels(over.status).inc()
        log.info("job_over", job=job.id, status=over.status, error=over.error)
        self.lease.touch(job.owner, time.time())
        self._let_go(over)

    async def _work(self, job: Job) -> None:
        devices = devices_of(self.settings, await self.parent.ready())
        durable.reserve(self.reserve, RESERVED_BYTES)
        model = self.checkpoints.path(job.asked.model)
        training_file = self.files.path(job.asked.training_file)
        plan = plan_of(job, model, training_file, self.jobs.folder(job.id), self.settings, devices)
        steps = Steps(
            job, plan, self.jobs, self.parent, self.settings.preparers, lambda: self._asked_to.get(job.id)
        )
        about = {
            **job.asked.model_dump(),
            "job": job.id,
            "lineage": self.checkpoints.lineage(job.asked.model),
        }
        checkpoint = await steps.run(about, self.checkpoints.folder)
        if self.lease.entry(job.owner) is not None:  # else it was given back, and nobody waits to ask
            self.lease.ask(job.owner, checkpoint, time.time())
            await self._load(checkpoint)
            self.jobs.note(job.id, {"swap": dict(self.engine.swap)})
        tokens = self.jobs.get(job.id).metrics.get("trained_tokens")
        await self._settle(job, "succeeded", fine_tuned_model=checkpoint, trained_tokens=tokens)

    async def _settle(self, job: Job, status: Status, **changes: Any) -> None:
        """Write the job's new state down; where the disk is full, as soon as there is room for it."""
        while True:
            try:
                self.jobs.move(job.id, status, **changes)
                return
            except OSError as error:
                log.error("job_state_not_written", job=job.id, status=status, error=str(error))
                if not self.reserve.exists():
                    await asyncio.sleep(FULL_DISK_PAUSE_S)
                self.reserve.unlink(missing_ok=True)

    def _let_go(self, job: Job) -> None:
        """A job that nobody held the lease for has it only for itself; a paused one lets others through."""
        if job.asked.owner is None or job.status == "paused":
            self.lease.give_back(job.owner)
