"""The routes that all role services have: identity, models, and chat passed through to the role's engine."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import cast
from urllib.parse import unquote

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from shared import engine
from shared.chat_fields import check_fields, without_idle_top_p
from shared.errors import BadRequest, ComdError
from shared.headers import ENGINE_SECONDS_HEADER, REVISION_HEADER
from shared.keys import Keys
from shared.role import RoleService
from shared.service import Readiness, create_app
from shared.types import EngineSpec, EngineState, JsonObject, RoleIdentity

ChatRoute = Callable[[Request], Awaitable[Response]]


def create_role_app(service: RoleService, keys: Keys, chat: ChatRoute | None = None) -> FastAPI:
    """The routes that all roles have; the role adds its own. `chat` replaces the plain pass-through."""

    async def probe() -> Readiness:
        try:
            await service.identity(service.settings.engine)
        except ComdError as error:
            return Readiness(False, error.message)
        return Readiness(True)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await service.engines.close()

    app = create_app(service.role, keys, probe, lifespan)

    @app.get("/v1/identity")
    async def identity(request: Request) -> RoleIdentity:
        return await service.identity(service.engine_of(request))

    @app.get("/v1/engine")
    async def engine_state(request: Request) -> EngineState:
        """The engine behind the role, and how it is just now."""
        return await service.state(service.engine_of(request))

    @app.get("/v1/models")
    async def models(request: Request) -> JsonObject:
        return {"object": "list", "data": await engine.models(service.http, service.engine_of(request))}

    async def chat_completions(request: Request) -> Response:
        return await (chat(request) if chat else pass_through(service, request))

    # the hot route takes bytes and gives bytes: without FastAPI's reading of parameters, a sixth of its time
    app.add_route("/v1/chat/completions", chat_completions, methods=["POST"])
    return app


async def pass_through(
    service: RoleService, request: Request, system: str | None = None, *, is_plain: bool = False
) -> Response:
    """The caller's chat request to the role's engine, with the role's system prompt and temperature as defaults.

    `is_plain`: without them, so that the engine answers as it does to anybody.
    """
    body = await _chat_body(request)
    with service.admitted(request) as spec:
        check_fields(body, spec.kind)
        messages = body["messages"]
        if system is not None and not is_plain and messages[0].get("role") != "system":
            messages = [{"role": "system", "content": system}, *messages]
        defaults = {} if is_plain else {"temperature": service.settings.sampling.temperature}
        asked = {**defaults, **body, "messages": await service.ready(messages, spec)}
        return await (
            _streamed(service, spec, asked) if body.get("stream") else _whole(service, spec, asked, request)
        )


async def _whole(service: RoleService, spec: EngineSpec, body: JsonObject, request: Request) -> Response:
    believed = request.headers.get(REVISION_HEADER)
    answered = await service.call(spec, body, None if believed is None else unquote(believed))
    headers = {ENGINE_SECONDS_HEADER: f"{answered.seconds:.3f}"}
    return Response(orjson.dumps(answered.reply), headers=headers, media_type="application/json")


async def _streamed(service: RoleService, spec: EngineSpec, body: JsonObject) -> Response:
    pieces = service.engines.stream(spec, body)
    first = await anext(pieces)  # an engine that refuses answers with its status, not inside the stream
    return Streamed(_events(first, pieces), media_type="text/event-stream")


class Streamed(StreamingResponse):
    """A stream that is closed as soon as nobody reads it, so that the engine's place is free."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(cast(AsyncGenerator[bytes], self.body_iterator)):
            await super().__call__(scope, receive, send)


async def _events(first: bytes, pieces: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The stream; where it breaks, an error event is its end."""
    async with aclosing(pieces):
        yield first
        try:
            async for piece in pieces:
                yield piece
        except ComdError as error:
            yield engine.error_event(error)


async def _chat_body(request: Request) -> JsonObject:
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"expected a JSON body: {error}") from error
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list) or not body["messages"]:
        raise BadRequest("expected an object with a list of messages that is not empty")
    if not all(isinstance(message, dict) for message in body["messages"]):
        raise BadRequest("messages: expected objects with role and content")
    return without_idle_top_p(body)
