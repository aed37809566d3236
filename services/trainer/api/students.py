"""The students: OpenAI's `/v1/models`, chat completions of the loaded one, and the lease on the devices."""

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from services.trainer.requests import LeaseRequest
from services.trainer.trainer import Trainer
from shared.errors import BadRequest, Conflict
from shared.service import require_internal
from shared.types import JsonObject


def lease_routes(trainer: Trainer) -> APIRouter:
    routes = APIRouter(prefix="/v1/leases")

    @routes.post("")
    async def ask(request: Request, asked: LeaseRequest) -> JsonObject:
        require_internal(request)
        return trainer.ask_lease(asked.owner, asked.checkpoint)

    @routes.delete("/{owner}")
    async def give_back(request: Request, owner: str) -> JsonObject:
        require_internal(request)
        trainer.give_back_lease(owner)
        return {"owner": owner, "state": "given_back"}

    return routes


def model_routes(trainer: Trainer) -> APIRouter:
    routes = APIRouter(prefix="/v1/models")

    @routes.get("")
    async def models() -> JsonObject:
        return {"object": "list", "data": trainer.checkpoints.models(trainer.engine.loaded)}

    @routes.get("/{name:path}")
    async def model(name: str) -> JsonObject:
        trainer.checkpoints.path(name)
        return next(
            about for about in trainer.checkpoints.models(trainer.engine.loaded) if about["id"] == name
        )

    @routes.delete("/{name:path}")
    async def delete(name: str) -> JsonObject:
        trainer.checkpoints.path(name)
        if used := _use(trainer, name):
            raise Conflict(
                f"student {name} cannot be deleted: {used}", code="checkpoint_in_use", param="model"
            )
        remove = trainer.checkpoints.forget(name)
        await run_in_threadpool(remove)
        return {"id": name, "object": "model", "deleted": True}

    return routes


def _use(trainer: Trainer, name: str) -> str | None:
    """What a student is needed for; None where nothing needs it."""
    if name in trainer.checkpoints.bases:
        return "it is a base student of the trainer's settings"
    if name == trainer.engine.loaded:
        return "it is loaded"
    if owner := trainer.lease.wanting(name):
        return f"{owner} holds or waits for a lease on it"
    needing = (job.id for job in trainer.jobs.all() if not job.over and job.asked.model == name)
    return f"job {job_id} starts from it" if (job_id := next(needing, None)) else None


def add_chat_route(routes: APIRouter, trainer: Trainer) -> None:
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
    routes.add_route("/v1/chat/completions", chat, methods=["POST"])


def _chat_body(body: bytes) -> JsonObject:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"expected a JSON body: {error}") from error
    if not isinstance(asked, dict) or not isinstance(asked.get("model"), str):
        raise BadRequest(
            "expected an object with a model: the id of a checkpoint or base student", param="model"
        )
    return asked
