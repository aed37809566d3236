"""A trainer without training: the real one's contract, jobs that finish at once, a scripted student.

In: files and jobs. Out: checkpoint ids that are hashes of what was trained on; answers of the scripted engine's
student, one level better with each training. `python -m tests.doubles.stub_trainer --port N --engine URL`.
"""

import argparse
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Form, Header, Request, UploadFile

from shared.engine import chat, pooled_client
from shared.errors import BadRequest, Conflict, NotFound
from shared.identity import digest
from shared.images import ImageStore
from shared.keys import Keys, load_keys
from shared.messages import resolve_images
from shared.service import Readiness, create_app, serve
from shared.settings import default_image_store
from shared.types import EngineSpec, JsonObject


class StubTrainer:
    """What a trainer knows: files, jobs, checkpoints with their level, and who has the lease."""

    def __init__(self, engine_url: str, base: str = "base"):
        self.engine_url = engine_url
        self.files: dict[str, bytes] = {}
        self.jobs: dict[str, JsonObject] = {}
        self.levels = {base: 0}
        self.parents: dict[str, str] = {}
        self.loaded: str | None = None
        self.owner: str | None = None
        self.failing: list[str] = []  # messages with which the next jobs fail

    def upload(self, content: bytes) -> str:
        for line in content.splitlines():
            messages = json.loads(line)["messages"]
            assert [message["role"] for message in messages[:2]] == ["user", "assistant"]
        name = f"file-{hashlib.sha256(content).hexdigest()[:24]}"
        self.files[name] = content
        return name

    def create_job(self, asked: JsonObject, key: str, owner: str) -> JsonObject:
        job_id = f"ftjob-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        if job_id in self.jobs:
            return self.jobs[job_id]
        if asked["training_file"] not in self.files or asked["model"] not in self.levels:
            raise BadRequest(f"unknown file or model in {asked}")
        job: JsonObject = {"id": job_id, "object": "fine_tuning.job", "status": "queued", "error": None}
        self.jobs[job_id] = {**job, "asked": asked, "owner": owner, "fine_tuned_model": None, "metrics": {}}
        return self.jobs[job_id]

    def advance(self, job: JsonObject) -> JsonObject:
        """A queued job runs, and ends, as soon as its owner can have the lease."""
        if job["status"] != "queued" or self.owner not in {None, job["owner"]}:
            return job
        self.owner = job["owner"]
        if self.failing:
            job.update(status="failed", error={"message": self.failing.pop(0)})
            return job
        asked = job["asked"]
        made = "ckpt-" + digest(asked["training_file"], asked["model"], asked["seed"], asked["stage"])[:16]
        self.levels[made] = self.levels[asked["model"]] + (asked["stage"] == "tune")
        self.loaded = made
        job.update(
            status="succeeded", fine_tuned_model=made, metrics={"train_loss": 1 / (1 + self.levels[made])}
        )
        return job

    def lease(self, owner: str, checkpoint: str | None) -> JsonObject:
        if checkpoint is not None and checkpoint not in self.levels:
            raise NotFound(f"no checkpoint {checkpoint}")
        if self.owner in {None, owner}:
            self.owner = owner
            self.loaded = checkpoint or self.loaded
        held = self.owner == owner
        loaded = held and checkpoint in {None, self.loaded}
        state = "held" if held else "queued"
        return {"owner": owner, "state": state, "checkpoint": checkpoint, "loaded": loaded}

    def release(self, owner: str) -> None:
        if self.owner == owner:
            self.owner = None


def create_stub_app(trainer: StubTrainer, keys: Keys, image_store: str) -> FastAPI:
    """The stub's routes; `app.state.trainer` is the stub itself."""
    http, images = pooled_client(60.0), ImageStore(image_store)

    async def probe() -> Readiness:
        return Readiness(True)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await http.aclose()

    app = create_app("stub-trainer", keys, probe, lifespan)

    @app.post("/v1/files")
    async def files(file: UploadFile, purpose: Annotated[str, Form()]) -> JsonObject:
        assert purpose == "fine-tune"
        return {"id": trainer.upload(await file.read()), "object": "file"}

    @app.post("/v1/fine_tuning/jobs")
    async def create(
        asked: JsonObject,
        idempotency_key: Annotated[str, Header()],
        x_comd_lease: Annotated[str, Header()],
    ) -> JsonObject:
        return trainer.create_job(asked, idempotency_key, x_comd_lease)

    @app.get("/v1/fine_tuning/jobs/{job_id}")
    async def job(job_id: str) -> JsonObject:
        return trainer.advance(trainer.jobs[job_id])

    @app.post("/v1/fine_tuning/jobs/{job_id}/cancel")
    async def cancel(job_id: str) -> JsonObject:
        return trainer.jobs[job_id]

    @app.post("/v1/leases")
    async def lease(asked: JsonObject) -> JsonObject:
        return trainer.lease(asked["owner"], asked.get("checkpoint"))

    @app.delete("/v1/leases/{owner}")
    async def release(owner: str) -> JsonObject:
        trainer.release(owner)
        return {}

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
    options = parser.parse_args()
    trainer = StubTrainer(options.engine)
    serve(create_stub_app(trainer, load_keys(), default_image_store()), "127.0.0.1", options.port)


if __name__ == "__main__":
    main()
