"""A gate before an engine: passes requests on, and holds chats beyond those that it was told to let through.

In: the engine's URL. Out: an ASGI app whose `asked` are the chats that came, in their order.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response

from shared.engine import pooled_client

CHAT = "/v1/chat/completions"
PROBE_TOKENS = 1  # a chat of one token only tries whether the engine answers: not held, not counted


class Gate:
    """What has been asked, and how many may still pass; a number that tests change while it is used."""

    def __init__(self, upstream: str, lets_through: float = float("inf")):
        self.upstream, self.lets_through = upstream, lets_through
        self.asked: list[dict[str, Any]] = []

    async def wait_for_turn(self) -> None:
        while self.lets_through < 1:
            await asyncio.sleep(0.01)
        self.lets_through -= 1


def create_gate_app(gate: Gate) -> FastAPI:
    """Every route of the engine."""
    http = pooled_client(60.0)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await http.aclose()

    app = FastAPI(lifespan=lifespan)

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    async def pass_on(request: Request) -> Response:
        body, path = await request.body(), request.url.path
        if path == CHAT and (asked := orjson.loads(body)).get("max_tokens") != PROBE_TOKENS:
            gate.asked.append(asked)
            await gate.wait_for_turn()
        names = ("authorization", "content-type")
        headers = {name: request.headers[name] for name in names if name in request.headers}
        reply = await http.request(request.method, gate.upstream + path, content=body, headers=headers)
        return Response(reply.content, reply.status_code, media_type=reply.headers.get("content-type"))

    return app
