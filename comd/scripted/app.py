"""The engine's HTTP side: an OpenAI-compatible server over the scripted roles.

In: a Behaviour and fault rules. Out: an ASGI app. The hot route takes bytes and gives bytes: no body models.
"""

from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from comd.scripted.asking import CREATED, MODELS, Asking, read
from comd.scripted.calls import CallCounts
from comd.scripted.completion import chunks, completion
from comd.scripted.errors import ApiError
from comd.scripted.faults import Fault, FaultPlan, fault_from, parse_rules
from comd.scripted.roles import Behaviour, reply
from comd.scripted.striking import GIBBERISH, strike

OWNER = "scripted engine (no model)"


class Engine:
    """One engine's state: how it behaves, the faults in force and the calls it has counted."""

    def __init__(self, behaviour: Behaviour, rules: tuple[Fault, ...] = ()) -> None:
        self.behaviour = behaviour
        self.faults = FaultPlan(rules)
        self.calls = CallCounts()

    async def chat(self, request: Request) -> Response:
        """`POST /v1/chat/completions`."""
        body = _json(await request.body())
        asking = read(body)
        digest = sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest()
        self.calls.note(digest, asking.role)
        text = reply(asking, self.behaviour)
        fault = _own_fault(request) or self.faults.fault_for(digest, asking.role)
        if fault is not None:
            self.calls.note_fault(fault.kind, asking.role)
            text = GIBBERISH if fault.kind == "gibberish" else text
            failed = await strike(fault, request, completion(asking, text))
            if failed is not None:
                return failed
        return _response(body, asking, text)

    async def models(self, request: Request) -> Response:
        """`GET /v1/models`."""
        cards = [
            {"id": model, "object": "model", "created": CREATED, "owned_by": OWNER, "root": model}
            for model in MODELS
        ]
        return _reply({"object": "list", "data": cards})

    async def health(self, request: Request) -> Response:
        """`GET /health`."""
        return _reply({"status": "ok", "engine": OWNER})

    async def set_faults(self, request: Request) -> Response:
        """`POST /scripted/faults`: a JSON list of rules takes the place of those in force."""
        self.faults.replace(parse_rules(await request.body()))
        return _reply({"rules": len(self.faults.rules)})

    async def counts(self, request: Request) -> Response:
        """`GET /scripted/calls`: what has been asked; DELETE forgets it."""
        if request.method == "DELETE":
            self.calls = CallCounts()
        return _reply(self.calls.as_json())


def create_app(behaviour: Behaviour, rules: tuple[Fault, ...] = ()) -> FastAPI:
    """The app of one engine."""
    engine = Engine(behaviour, rules)
    app = FastAPI(title="CoMD scripted engine", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_route("/v1/chat/completions", engine.chat, methods=["POST"])
    app.add_route("/v1/models", engine.models, methods=["GET"])
    app.add_route("/health", engine.health, methods=["GET"])
    app.add_route("/scripted/faults", engine.set_faults, methods=["POST"])
    app.add_route("/scripted/calls", engine.counts, methods=["GET", "DELETE"])
    app.add_exception_handler(ApiError, _refuse)
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(404, _refuse)
    app.add_exception_handler(405, _refuse)
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    if isinstance(error, ApiError):
        return _reply(error.body(), error.status)
    status = getattr(error, "status_code", 500)
    message = f"{request.method} {request.url.path} is not served here: {getattr(error, 'detail', error)}"
    return _reply(ApiError(status, message, "not_found").body(), status)


def _response(body: dict[str, Any], asking: Asking, text: str) -> Response:
    if not body.get("stream"):
        return Response(completion(asking, text), media_type="application/json")
    usage = bool((body.get("stream_options") or {}).get("include_usage"))
    return StreamingResponse(
        _stream(chunks(asking, text, include_usage=usage)), media_type="text/event-stream"
    )


async def _stream(events: Iterator[bytes]) -> AsyncIterator[bytes]:
    for event in events:  # in a plain iterator Starlette would take a thread for each event
        yield event


def _own_fault(request: Request) -> Fault | None:
    header = request.headers.get("x-scripted-fault")
    return None if header is None else fault_from(_json(header))


def _json(text: str | bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"this is not JSON: {error}", "invalid_json") from error


def _reply(content: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
