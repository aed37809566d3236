"""The frame of every HTTP service: bearer keys, `/health`, `/ready`, `/metrics`, OpenAI-shaped errors.

In: a name, the keys, a readiness probe. Out: a FastAPI app to hang routes on, and `serve` to run it.
"""

import gc
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.answers import answer_errors
from shared.api_document import describe
from shared.callers import Browsers, FindCaller
from shared.errors import Forbidden
from shared.gate import Gate
from shared.keys import Keys
from shared.rates import Rates
from shared.scopes import Caller

MAX_BODY_BYTES = 64 * 1024 * 1024
VERSION = version("comd")


@dataclass(frozen=True)
class Readiness:
    """What `/ready` says: whether work can be done, and in words what is missing."""

    ready: bool
    reason: str = "ready"


Probe = Callable[[], Awaitable[Readiness]]
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Frame:
    """What a service may have otherwise than the others."""

    max_body_bytes: int = MAX_BODY_BYTES
    find_caller: FindCaller | None = None  # whose key it is; default: the machine's two keys
    browsers: Browsers | None = None  # of a service that has pages
    rates: Rates | None = None  # default: wrong keys alone are counted
    dependencies: Sequence[Any] = ()  # of every route
    more_metrics: Callable[[], Awaitable[bytes]] | None = None  # what is looked up when somebody asks


def create_app(
    name: str, keys: Keys, probe: Probe, lifespan: Lifespan | None = None, frame: Frame = Frame()
) -> FastAPI:
    """A FastAPI app named `name` with everything that all services have in common."""
    app = FastAPI(
        title=f"CoMD {name}",
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,  # pages for a browser, which has no key to send
        redoc_url=None,
        dependencies=list(frame.dependencies),
    )
    app.add_middleware(
        Gate,
        service=name,
        find_caller=frame.find_caller or keys.caller,
        rates=frame.rates or Rates(),
        max_body_bytes=frame.max_body_bytes,
        browsers=frame.browsers,
    )
    answer_errors(app)
    describe(app)
    _add_common_routes(app, name, probe, frame)
    return app


def _add_common_routes(app: FastAPI, name: str, probe: Probe, frame: Frame) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "up", "service": name, "version": VERSION}

    @app.get("/ready", responses={503: {"description": "No work can be done; `reason` says why"}})
    async def ready() -> JSONResponse:
        state = await probe()
        body = {"ready": state.ready, "service": name, "version": VERSION, "reason": state.reason}
        return JSONResponse(body, 200 if state.ready else 503)

    @app.get("/metrics", responses={200: {"content": {"text/plain": {}}}}, response_class=Response)
    async def metrics() -> Response:
        more = await frame.more_metrics() if frame.more_metrics else b""
        return Response(generate_latest() + more, media_type=CONTENT_TYPE_LATEST)


def is_internal(request: Request) -> bool:
    """Whether the request came with the key of calls between our own services."""
    caller: Caller | None = request.scope.get("comd_key")
    return caller is not None and caller.internal


def require_internal(request: Request) -> None:
    """Forbidden unless one of our own services is calling."""
    if not is_internal(request):
        raise Forbidden("this needs the internal key, which only CoMD's own services hold")


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
