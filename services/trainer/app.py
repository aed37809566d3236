"""The trainer's routes: OpenAI's files and fine-tuning jobs, the lease, and the student's chat completions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import orjson
from fastapi import FastAPI, File, Form, Header, Request, Response, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from services.trainer.requests import JobRequest, LeaseRequest, ResumeRequest, page
from services.trainer.settings import TrainerSettings
from services.trainer.trainer import Trainer
from shared.errors import BadRequest
from shared.keys import Keys, home
from shared.service import Readiness, create_app, require_internal
from shared.types import JsonObject

EVENTS_POLL_S = 0.25


def create_trainer_app(settings: TrainerSettings, keys: Keys) -> FastAPI:
    """The app; its data lie in `<COMD_HOME>/trainer`."""
    trainer = Trainer(settings, home() / "trainer")

    async def probe() -> Readiness:
        return Readiness(True)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await trainer.start()
        yield
        await trainer.close()

    app = create_app("trainer", keys, probe, lifespan, settings.max_upload_bytes)
    _file_routes(app, trainer)
    _job_routes(app, trainer)
    _lease_routes(app, trainer)
    _student_routes(app, trainer)
    return app


def _file_routes(app: FastAPI, trainer: Trainer) -> None:
    @app.post("/v1/files")
    async def upload(file: Annotated[UploadFile, File()], purpose: Annotated[str, Form()]) -> JsonObject:
        if purpose != "fine-tune":
            raise BadRequest(f"purpose: expected fine-tune, got {purpose[:40]!r}")
        return await run_in_threadpool(trainer.files.add, file.file, file.filename or "training.jsonl")

    @app.get("/v1/files")
    async def files(after: str | None = None, limit: int = 100) -> JsonObject:
        return page(trainer.files.all(), after, limit)

    @app.get("/v1/files/{file_id}")
    async def file_of(file_id: str) -> JsonObject:
        return trainer.files.get(file_id)


def _job_routes(app: FastAPI, trainer: Trainer) -> None:
    @app.post("/v1/fine_tuning/jobs")
    async def create(
        request: Request,
        asked: JobRequest,
        idempotency_key: Annotated[str | None, Header()] = None,
        x_comd_lease: Annotated[str | None, Header()] = None,
    ) -> JsonObject:
        if x_comd_lease is not None:
            require_internal(request)
        return trainer.create_job(asked.asked(x_comd_lease), idempotency_key).public()

    @app.get("/v1/fine_tuning/jobs")
    async def jobs(after: str | None = None, limit: int = 20) -> JsonObject:
        return page([job.public() for job in trainer.jobs.all()], after, limit)

    @app.get("/v1/fine_tuning/jobs/{job_id}")
    async def job(job_id: str) -> JsonObject:
        return trainer.jobs.get(job_id).public()

    @app.post("/v1/fine_tuning/jobs/{job_id}/cancel")
    async def cancel(job_id: str) -> JsonObject:
        return trainer.runner.cancel(job_id).public()

    @app.post("/v1/fine_tuning/jobs/{job_id}/pause")
    async def pause(job_id: str) -> JsonObject:
        return trainer.runner.pause(job_id).public()

    @app.post("/v1/fine_tuning/jobs/{job_id}/resume")
    async def resume(job_id: str, asked: ResumeRequest | None = None) -> JsonObject:
        return trainer.runner.resume(job_id, from_start=bool(asked and asked.from_start)).public()

    @app.get("/v1/fine_tuning/jobs/{job_id}/checkpoints")
    async def checkpoints(job_id: str, after: str | None = None, limit: int = 10) -> JsonObject:
        return page(_checkpoints(trainer, job_id), after, limit)

    @app.get("/v1/fine_tuning/jobs/{job_id}/events", response_model=None)
    async def events(
        request: Request, job_id: str, after: str | None = None, limit: int = 20
    ) -> JsonObject | StreamingResponse:
        trainer.jobs.get(job_id)
        if "text/event-stream" in request.headers.get("accept", ""):
            return StreamingResponse(_event_stream(trainer, job_id), media_type="text/event-stream")
        return page(trainer.jobs.events(job_id)[::-1], after, limit)


def _lease_routes(app: FastAPI, trainer: Trainer) -> None:
    @app.post("/v1/leases")
    async def ask(request: Request, asked: LeaseRequest) -> JsonObject:
        require_internal(request)
        return trainer.ask_lease(asked.owner, asked.checkpoint)

    @app.delete("/v1/leases/{owner}")
    async def give_back(request: Request, owner: str) -> JsonObject:
        require_internal(request)
        trainer.give_back_lease(owner)
        return {"owner": owner, "state": "given_back"}


def _student_routes(app: FastAPI, trainer: Trainer) -> None:
    @app.get("/v1/models")
    async def models() -> JsonObject:
        return {"object": "list", "data": trainer.checkpoints.models(trainer.engine.loaded)}

    async def chat(request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        asked = _chat_body(body)
        trainer.check_loaded(asked["model"])
        if asked.get("stream"):
            head, pieces = await trainer.engine.stream(body)
            return StreamingResponse(pieces, head.status, media_type=head.headers.get("content-type"))
        answer = await trainer.chat(body)
        return Response(answer.body, answer.status, media_type="application/json")

    # A plain route: FastAPI's own machinery costs more than answering does with a tiny student.
    app.router.add_route("/v1/chat/completions", chat, methods=["POST"])


def _chat_body(body: bytes) -> JsonObject:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"expected a JSON body: {error}") from error
    if not isinstance(asked, dict) or not isinstance(asked.get("model"), str):
        raise BadRequest("expected an object with a model: the id of a checkpoint or base student")
    return asked


def _checkpoints(trainer: Trainer, job_id: str) -> list[JsonObject]:
    job = trainer.jobs.get(job_id)
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


async def _event_stream(trainer: Trainer, job_id: str) -> AsyncIterator[bytes]:
    """All events of a job from its first, and then as they come, until the job is over."""
    offset = 0
    while True:
        over = trainer.jobs.get(job_id).over
        events, offset = trainer.jobs.events_from(job_id, offset)
        for event in events:
            yield b"id: " + event["id"].encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"
        if over:
            yield b"data: [DONE]\n\n"
            return
        await asyncio.sleep(EVENTS_POLL_S)
