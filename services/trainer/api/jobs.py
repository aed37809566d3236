"""OpenAI's fine-tuning jobs: `/v1/fine_tuning/jobs`, with stage and adaptation as fields of our own."""

import re
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse
from starlette.datastructures import QueryParams

from services.trainer.api.events import event_stream, events_page
from services.trainer.api.pages import Limit, page
from services.trainer.api.shapes import checkpoint_objects, job_object
from services.trainer.jobs import Asked, Job
from services.trainer.requests import JobRequest, ResumeRequest
from services.trainer.trainer import Trainer
from shared.errors import BadRequest, Unprocessable
from shared.service import require_internal
from shared.types import JsonObject

UNBUFFERED = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # the second is nginx's word
METADATA_KEY = re.compile(r"metadata\[(.*)\]", re.DOTALL)


def job_routes(trainer: Trainer) -> APIRouter:
    routes = APIRouter(prefix="/v1/fine_tuning/jobs")
    _life(routes, trainer)
    _views(routes, trainer)
    return routes


def _life(routes: APIRouter, trainer: Trainer) -> None:
    @routes.post("")
    async def create(
        request: Request,
        asked: JobRequest,
        idempotency_key: Annotated[str | None, Header()] = None,
        x_comd_lease: Annotated[str | None, Header()] = None,
    ) -> JsonObject:
        if x_comd_lease is not None:
            require_internal(request)
        job = asked.asked(x_comd_lease, idempotency_key)
        _check_pictures(trainer.files.get(job.training_file), job)
        return job_object(trainer.create_job(job, idempotency_key))

    @routes.post("/{job_id}/cancel")
    async def cancel(job_id: str) -> JsonObject:
        return job_object(trainer.runner.cancel(job_id))

    @routes.post("/{job_id}/pause")
    async def pause(job_id: str) -> JsonObject:
        return job_object(trainer.runner.pause(job_id))

    @routes.post("/{job_id}/resume")
    async def resume(job_id: str, asked: ResumeRequest | None = None) -> JsonObject:
        return job_object(trainer.runner.resume(job_id, bool(asked and asked.from_start)))


def _views(routes: APIRouter, trainer: Trainer) -> None:
    @routes.get("")
    async def jobs(request: Request, after: str | None = None, limit: Limit = 20) -> JsonObject:
        found = chosen(trainer.jobs.all(), request.query_params)
        return page([job_object(job) for job in found], after, limit)

    @routes.get("/{job_id}")
    async def job(job_id: str) -> JsonObject:
        return job_object(trainer.jobs.get(job_id))

    @routes.get("/{job_id}/checkpoints")
    async def checkpoints(job_id: str, after: str | None = None, limit: Limit = 10) -> JsonObject:
        return page(checkpoint_objects(trainer.jobs.get(job_id)), after, limit)

    @routes.get("/{job_id}/events", response_model=None)
    async def events(
        request: Request,
        job_id: str,
        after: str | None = None,
        limit: Limit = 20,
        stream: bool = False,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> JsonObject | StreamingResponse:
        trainer.jobs.get(job_id)
        if stream or "text/event-stream" in request.headers.get("accept", ""):
            pieces = event_stream(trainer.jobs, job_id, last_event_id)
            return StreamingResponse(pieces, media_type="text/event-stream", headers=UNBUFFERED)
        return events_page(trainer.jobs, job_id, after, limit)


def chosen(jobs: list[Job], query: QueryParams) -> list[Job]:
    """The jobs that OpenAI's `metadata[key]=value` filters leave; `metadata=null` is for those without any."""
    wanted = {key[1]: value for name, value in query.multi_items() if (key := METADATA_KEY.fullmatch(name))}
    if "metadata" not in query:
        return [job for job in jobs if wanted.items() <= (job.asked.metadata or {}).items()]
    if wanted or query["metadata"] != "null":
        raise BadRequest("metadata: expected metadata[key]=value, or metadata=null alone", param="metadata")
    return [job for job in jobs if job.asked.metadata is None]


def _check_pictures(about: JsonObject, asked: Asked) -> None:
    """A projector learns from pictures alone: known now, so that the job does not start and fail."""
    if asked.stage == "pretrain" and (count := about.get("num_text_only", 0)):
        raise Unprocessable(
            f"training_file: stage pretrain needs a picture in every record; {count} of this file's have none",
            param="training_file",
        )
