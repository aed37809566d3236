"""The trainer put together: its stores, the warm parent, the student's engine and the loop. In: settings.
Out: one object that the routes use, with a beginning and an end.
"""

import asyncio
import contextlib
import time
from pathlib import Path

import orjson

from services.trainer.checkpoints import Checkpoints
from services.trainer.devices import devices_of
from services.trainer.files import Files
from services.trainer.jobs import Asked, Job, Jobs
from services.trainer.launch.warm_parent import WarmParent
from services.trainer.lease import Lease
from services.trainer.runner import Runner
from services.trainer.serving.engine import Engine
from services.trainer.serving.student_engine import StudentEngine
from services.trainer.serving.vllm_engine import VllmEngine
from services.trainer.serving.wire import Answer
from services.trainer.settings import TrainerSettings
from services.trainer.training.families import family_of
from shared.errors import ConfigError, Conflict, EngineUnavailable
from shared.images import ImageStore
from shared.service import Readiness
from shared.types import JsonObject


class Trainer:
    """The life of the trainer service below its HTTP routes."""

    def __init__(self, settings: TrainerSettings, folder: Path):
        self.settings, self.folder = settings, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.files = Files(folder / "files", ImageStore(settings.image_store), lambda: int(time.time()))
        self.jobs = Jobs(folder / "jobs")
        self.checkpoints = Checkpoints(folder / "checkpoints", settings.base_students)
        self.lease = Lease(folder / "lease.json", settings.lease_ttl_s, time.time())
        self.parent = WarmParent()
        self.engine = self._engine(folder)
        stores = (self.files, self.jobs, self.checkpoints)
        self.runner = Runner(settings, self.parent, self.engine, stores, self.lease)
        self._loop: asyncio.Task[None] | None = None

    def _engine(self, folder: Path) -> Engine:
        settings = self.settings
        if settings.engine == "vllm":
            store = ImageStore(settings.image_store)
            return VllmEngine(settings.vllm, store, folder / "serving", lambda: self.runner.wake())
        embedded = {
            "image_store": settings.image_store,
            "threads": settings.engine_threads,
            "max_batch": settings.engine_max_batch,
        }
        return StudentEngine(self.parent, embedded, folder / "engine.log", lambda: self.runner.wake())

    async def start(self) -> None:
        await self.parent.start()
        self._loop = asyncio.create_task(self.runner.run())

    async def close(self) -> None:
        if self._loop is not None:
            self._loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop
        await self.engine.close()
        await self.parent.close()

    def readiness(self) -> Readiness:
        """Ready when jobs can be run: the warm parent is warm, and the devices are as the settings say."""
        if not self.parent.warm:
            return Readiness(False, "the warm parent is being started")
        try:
            devices_of(self.settings, self.parent.num_gpus)
        except ConfigError as error:
            return Readiness(False, error.message)
        return Readiness(True)

    def create_job(self, asked: Asked, idempotency_key: str | None) -> Job:
        """Queue a job. NotFound where its file or model is not there, ConfigError where its class is not known."""
        self.files.get(asked.training_file)
        config = orjson.loads((self.checkpoints.path(asked.model) / "config.json").read_bytes())
        family_of(str(config.get("model_type")), self.settings.families)
        job = self.jobs.create(asked, idempotency_key)
        if not job.over:
            self.lease.ask(job.owner, None, time.time())
            self.runner.wake()
        return job

    def ask_lease(self, owner: str, checkpoint: str | None) -> JsonObject:
        """Queue for the lease, or say what the holder wants loaded."""
        if checkpoint is not None:
            self.checkpoints.path(checkpoint)
        entry = self.lease.ask(owner, checkpoint, time.time())
        self.runner.wake()
        held = self.lease.held_by(owner)
        loaded = held and entry.checkpoint is not None and entry.checkpoint == self.engine.loaded
        return {
            "owner": owner,
            "state": "held" if held else "queued",
            "checkpoint": entry.checkpoint,
            "loaded": loaded,
        }

    def give_back_lease(self, owner: str) -> None:
        """Leave the lease; a job that still waits queues for it anew."""
        self.lease.give_back(owner)
        if self.jobs.waiting(owner):
            self.lease.ask(owner, None, time.time())
        self.runner.wake()

    def check_loaded(self, model: str) -> None:
        """Conflict where another student is loaded; EngineUnavailable where this one is about to be."""
        holder = self.lease.holder
        if model == self.engine.loaded:
            if holder is not None:
                self.lease.touch(holder.owner, time.time())
            return
        if holder is not None and holder.checkpoint == model and not self._training():
            raise EngineUnavailable(f"student {model} is being loaded; ask again", code="student_loading")
        self.checkpoints.path(model)
        raise Conflict(
            f"student {model} is not loaded ({self.engine.loaded or 'none'} is); ask for it with POST /v1/leases",
            code="checkpoint_not_loaded",
        )

    async def chat(self, body: bytes) -> Answer:
        return await self.engine.ask(body)

    def _training(self) -> bool:
        return any(job.status == "running" for job in self.jobs.all())
