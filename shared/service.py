"""The frame of every HTTP service: bearer keys, `/health`, `/ready`, `/metrics`, OpenAI-shaped errors.

In: a name, the keys, a readiness probe. Out: a FastAPI app to hang routes on, and `serve` to run it.
"""

import gc
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import logs
from shared.errors import ComdError, Forbidden, NotFound, TooLarge, Unauthorized, Unprocessable
from shared.keys import Keys

OPEN_PATHS = {"/health", "/ready"}
REQUEST_ID = "x-request-id"
MAX_BODY_BYTES = 64 * 1024 * 1024

log = logs.get(__name__)


@dataclass(frozen=True)
class Readiness:
    """What `/ready` says: whether work can be done, and in words what is missing."""

    ready: bool
    reason: str = "ready"


Probe = Callable[[], Awaitable[Readiness]]
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    name: str,
    keys: Keys,
    probe: Probe,
    lifespan: Lifespan | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> FastAPI:
    """A FastAPI app named `name` with everything that all services have in common."""
    app = FastAPI(title=f"CoMD {name}", lifespan=lifespan)
    app.add_middleware(Gate, keys=keys, max_body_bytes=max_body_bytes)
    app.add_exception_handler(ComdError, _comd_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(Exception, _unexpected_error)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "up", "service": name}

    @app.get("/ready")
    async def ready() -> JSONResponse:
        state = await probe()
        body = {"ready": state.ready, "service": name, "reason": state.reason}
        return JSONResponse(body, 200 if state.ready else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return app


def is_internal(request: Request) -> bool:
    """Whether the request came with the key of calls between our own services."""
    return bool(request.scope.get("comd_internal"))


def require_internal(request: Request) -> None:
    """Forbidden unless one of our own services is calling."""
    if not is_internal(request):
        raise Forbidden("this needs the internal key, which only CoMD's own services hold")


class Gate:
    """Checks the bearer key and the body's length, and gives every request an id. Pure ASGI, for speed."""

    def __init__(self, app: ASGIApp, keys: Keys, max_body_bytes: int):
        self.app, self.keys, self.max_body_bytes = app, keys, max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = headers.get(REQUEST_ID) or uuid.uuid4().hex
        structlog.contextvars.bind_contextvars(request_id=request_id)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        refusal = self._refusal(scope, headers)
        await (_answer(refusal) if refusal else self.app)(scope, receive, send_with_id)

    def _refusal(self, scope: Scope, headers: Headers) -> ComdError | None:
        given = headers.get("authorization", "")
        key = given[7:] if given[:7].lower() == "bearer " else ""
        scope["comd_internal"] = self.keys.is_internal(key)
        if scope["path"] not in OPEN_PATHS and not self.keys.is_api(key):
            return Unauthorized(
                "expected the header 'Authorization: Bearer KEY'; `comd key show` prints the key"
            )
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self.max_body_bytes:
            return TooLarge(f"the body has {length} bytes; {self.max_body_bytes} at most are taken")
        return None


def serve(app: FastAPI, host: str, port: int) -> None:
    """Run the app until SIGINT or SIGTERM."""
    gc.freeze()  # what is loaded by now stays: the collector need not look at it again and again
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=3,
        server_header=False,
    )


def _answer(error: ComdError) -> JSONResponse:
    return JSONResponse(error.body(), error.status, headers=error.headers)


async def _comd_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ComdError)
    return _answer(error)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return _answer(NotFound(f"no route {request.method} {request.url.path}"))
    body = {"error": {"message": str(error.detail), "type": "invalid_request_error", "code": "http_error"}}
    return JSONResponse(body, error.status_code, headers=error.headers)


async def _validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    said = "; ".join(f"{'.'.join(str(p) for p in item['loc'])}: {_reason(item)}" for item in found)
    where = [] if found[0]["type"] == "json_invalid" else [str(part) for part in found[0]["loc"][1:]]
    return _answer(Unprocessable(said, param=".".join(where) or None))


def _reason(item: Any) -> str:
    """What pydantic says of one wrong value; our own validators' sentences come without its prefix."""
    if item["type"] == "extra_forbidden":
        return "unknown field"
    return str(item["msg"]).removeprefix("Value error, ")


async def _unexpected_error(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected_error", path=request.url.path, exc_info=error)
    return _answer(ComdError("something went wrong inside the service; its log has the details"))
