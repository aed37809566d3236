"""A trainer without training: the real one's contract, jobs of timed steps, a scripted student.

In: files and jobs. Out: checkpoint ids that are hashes of what was trained on; answers of the scripted engine's
student, one level better with each training. `python -m tests.doubles.stub_trainer --port N --engine URL`; with
`--folder` it may be killed: jobs go on behind their last step. Without steps a job is over as soon as it may begin.
"""

import argparse
import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Form, Header, Request, UploadFile

from shared.engine import chat, pooled_client
from shared.errors import BadRequest, Conflict, NotFound
from shared.identity import digest
from shared.images import ImageStore
from shared.keys import Keys, load_keys
from shared.messages import resolve_images
from shared.service import Readiness, create_app, serve
from shared.settings import default_image_store
from shared.types import EngineSpec, JsonObject

QUICK_STEPS = 3  # of a job that is over as soon as it begins
STATE_BYTES = 256 * 1024  # of a step's training state: what a full disk has no room for


class StubTrainer:
    """What a trainer knows: files, jobs, checkpoints with their level, and who has the lease."""

    def __init__(
        self, engine_url: str, base: str = "base", *, folder: Path | None = None, num_steps: int = 0
    ):
        self.engine_url, self.folder, self.num_steps = engine_url, folder, num_steps
        self.files: dict[str, bytes] = {}
        self.jobs: dict[str, JsonObject] = {}
        self.levels = {base: 0}
        self.loaded: str | None = None
        self.owner: str | None = None
        self.failing: list[str] = []  # messages with which the next jobs fail
        self.says_steps = True
        self._remember()

    def upload(self, content: bytes) -> str:
        for line in content.splitlines():
            messages = json.loads(line)["messages"]
            assert [message["role"] for message in messages[:2]] == ["user", "assistant"]
        name = f"file-{hashlib.sha256(content).hexdigest()[:24]}"
        self.files[name] = content
        self._keep()
        return name

    def create_job(self, asked: JsonObject, key: str, owner: str) -> JsonObject:
        job_id = f"ftjob-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        if job_id in self.jobs:
            return self.jobs[job_id]
        if asked["training_file"] not in self.files or asked["model"] not in self.levels:
            raise BadRequest(f"unknown file or model in {asked}")
        job: JsonObject = {"id": job_id, "object": "fine_tuning.job", "status": "queued", "error": None}
        self.jobs[job_id] = {**job, "asked": asked, "owner": owner, "fine_tuned_model": None, "metrics": {}}
        self.jobs[job_id]["events"] = [event(job_id, 0, "Created job")]
        self._keep()
        return self.jobs[job_id]

    def advance(self, job: JsonObject) -> JsonObject:
        """A queued job begins as soon as its owner can have the lease."""
        if job["status"] != "queued" or self.owner not in {None, job["owner"]}:
            return job
        self.owner = job["owner"]
        if self.failing:
            job.update(status="failed", error={"message": self.failing.pop(0)})
        elif self.num_steps:
            job.update(status="running", metrics={"step": 0, "total_steps": self.num_steps})
        else:
            for step in range(1, QUICK_STEPS + 1) if self.says_steps else ():
                say_step(job, step)
            self._publish(job)
        self._keep()
        return job

    def step(self) -> None:
        """The running jobs come one step further; a full disk pauses them, as it does the real trainer's."""
        for job in self.jobs.values():
            if job["status"] == "running":
                before = {**job, "metrics": dict(job["metrics"]), "events": list(job["events"])}
                try:
                    self._write("state", bytes(STATE_BYTES))
                    self._take_step(job)
                    self._keep()
                except OSError as error:
                    job.update(before, status="paused", reason=f"{error.strerror}; free space, then resume")

    def resume(self, job: JsonObject) -> JsonObject:
        if job["status"] == "paused":
            job["status"] = "running"
        return job

    def lease(self, owner: str, checkpoint: str | None) -> JsonObject:
        if checkpoint is not None and checkpoint not in self.levels:
            raise NotFound(f"no checkpoint {checkpoint}")
        if self.owner in {None, owner}:
            self.owner = owner
            self.loaded = checkpoint or self.loaded
            self._keep()
        held = self.owner == owner
        loaded = held and checkpoint in {None, self.loaded}
        state = "held" if held else "queued"
        return {"owner": owner, "state": state, "checkpoint": checkpoint, "loaded": loaded}

    def release(self, owner: str) -> None:
        if self.owner == owner:
            self.owner = None
            self._keep()

    def _take_step(self, job: JsonObject) -> None:
        job["metrics"]["step"] += 1
        say_step(job, job["metrics"]["step"])
        if job["metrics"]["step"] >= self.num_steps:
            self._publish(job)

    def _publish(self, job: JsonObject) -> None:
        asked = job["asked"]
        made = "ckpt-" + digest(asked["training_file"], asked["model"], asked["seed"], asked["stage"])[:16]
        self.levels[made] = self.levels[asked["model"]] + (asked["stage"] == "tune")
        self.loaded = made
        metrics = {"train_loss": 1 / (1 + self.levels[made])}
        job.update(status="succeeded", fine_tuned_model=made, metrics=metrics)

    def _keep(self) -> None:
        state = {"files": sorted(self.files), "jobs": self.jobs, "levels": self.levels, "owner": self.owner}
        self._write("trainer.json", json.dumps(state).encode())

    def _write(self, name: str, content: bytes) -> None:
        if self.folder is not None:
            draft = self.folder / f"{name}.new"
            draft.write_bytes(content)
            draft.rename(self.folder / name)

    def _remember(self) -> None:
        """What an earlier process knew. Its student's engine is gone, and of files the names are enough."""
        if self.folder is None or not (self.folder / "trainer.json").exists():
            return
        state = json.loads((self.folder / "trainer.json").read_bytes())
        self.files = dict.fromkeys(state["files"], b"")
        self.jobs, self.levels, self.owner = state["jobs"], state["levels"], state["owner"]


def event(job_id: str, number: int, message: str, data: JsonObject | None = None) -> JsonObject:
    """OpenAI's `fine_tuning.job.event`."""
    return {
        "object": "fine_tuning.job.event",
        "id": f"ftevent-{job_id}-{number}",
        "created_at": 1_800_000_000 + number,
        "level": "info",
        "message": message,
        "type": "metrics" if data else "message",
        "data": data,
    }


def say_step(job: JsonObject, step: int) -> None:
    """The event of one optimizer step: a loss that falls, a learning rate that falls to zero."""
    said = {
        "step": step,
        "loss": round(2 / (1 + step), 6),
        "learning_rate": 2e-5 / step,
        "samples_per_s": 8.0,
    }
    job["events"].append(event(job["id"], len(job["events"]), f"Step {step}", said))


def events_page(job: JsonObject, after: str | None, limit: int) -> JsonObject:
    """As OpenAI pages them: the newest first, behind the one named."""
    events = job["events"][::-1]
    names = [one["id"] for one in events]
    start = names.index(after) + 1 if after else 0
    return {"object": "list", "data": events[start : start + limit], "has_more": start + limit < len(events)}


async def keep_stepping(trainer: StubTrainer, step_s: float) -> None:
    while True:
        await asyncio.sleep(step_s)
        trainer.step()


def trainer_routes(trainer: StubTrainer, look: Callable[[JsonObject], JsonObject]) -> APIRouter:
    """Files, jobs and leases; `look` gives a job as it is now."""
    routes = APIRouter(prefix="/v1")

    @routes.post("/files")
    async def files(file: UploadFile, purpose: Annotated[str, Form()]) -> JsonObject:
        assert purpose == "fine-tune"
        return {"id": trainer.upload(await file.read()), "object": "file"}

    @routes.post("/fine_tuning/jobs")
    async def create(
        asked: JsonObject, idempotency_key: Annotated[str, Header()], x_comd_lease: Annotated[str, Header()]
    ) -> JsonObject:
        return trainer.create_job(asked, idempotency_key, x_comd_lease)

    @routes.get("/fine_tuning/jobs/{job_id}")
    async def job(job_id: str) -> JsonObject:
        return look(trainer.jobs[job_id])

    @routes.get("/fine_tuning/jobs/{job_id}/events")
    async def events(job_id: str, after: str | None = None, limit: int = 20) -> JsonObject:
        if job_id not in trainer.jobs:
            raise NotFound(f"no job {job_id}")
        return events_page(trainer.jobs[job_id], after, limit)

    @routes.post("/leases")
    async def lease(asked: JsonObject) -> JsonObject:
        return trainer.lease(asked["owner"], asked.get("checkpoint"))

    @routes.delete("/leases/{owner}")
    async def release(owner: str) -> JsonObject:
        trainer.release(owner)
        return {}

    return routes


def create_stub_app(
    trainer: StubTrainer, keys: Keys, image_store: str, timeout_s: float = 60.0, step_s: float = 0.1
) -> FastAPI:
    """The stub's routes."""
    http, images = pooled_client(timeout_s), ImageStore(image_store)

    async def probe() -> Readiness:
        return Readiness(True)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        stepping = asyncio.create_task(keep_stepping(trainer, step_s))
        yield
        stepping.cancel()
        with suppress(asyncio.CancelledError):
            await stepping
        await http.aclose()

    app = create_app("stub-trainer", keys, probe, lifespan)

    app.include_router(trainer_routes(trainer, trainer.advance))

    @app.post("/v1/fine_tuning/jobs/{job_id}/cancel")
    async def cancel(job_id: str) -> JsonObject:
        return trainer.jobs[job_id]

    @app.post("/v1/fine_tuning/jobs/{job_id}/resume")
    async def resume(job_id: str) -> JsonObject:
        return trainer.resume(trainer.jobs[job_id])

    @app.post("/v1/chat/completions")
    async def completions(request: Request) -> JsonObject:
        body: dict[str, Any] = await request.json()
        if body["model"] != trainer.loaded:
            raise Conflict(f"{body['model']} is not loaded", code="checkpoint_not_loaded")
        messages = resolve_images(body["messages"], images, frozenset(), False)
        student = f"scripted-student@{min(9, trainer.levels[body['model']])}"
        spec = EngineSpec(base_url=trainer.engine_url, model=student, kind="scripted")
        return await chat(http, spec, {**body, "messages": messages})

    return app


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--folder", type=Path, help="where its state survives it")
    parser.add_argument("--steps", type=int, default=0, help="of a job, a tenth of a second each")
    parser.add_argument(
        "--timeout-s", type=float, default=60.0, help="the longest wait for the student's engine"
    )
    options = parser.parse_args()
    trainer = StubTrainer(options.engine, folder=options.folder, num_steps=options.steps)
    app = create_stub_app(trainer, load_keys(), default_image_store(), options.timeout_s)
    serve(app, "127.0.0.1", options.port)


if __name__ == "__main__":
    main()
