"""Carries out a fault on a request that meets it.

In: the fault, the request and the sound reply. Out: a response that fails as asked, or None to answer soundly.
"""

import asyncio
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from comd.scripted.errors import ApiError
from comd.scripted.faults import Fault

GIBBERISH = "}{ as an answer, lamp of of the 7 ["
DROPS = 20
_STATUS = {
    "429": (429, "Rate limit reached (scripted fault)", "rate_limit_exceeded", "requests"),
    "500": (500, "The server had an error (scripted fault)", "server_error", "server_error"),
    "503": (503, "The engine is overloaded (scripted fault)", "overloaded", "server_error"),
}


class BrokenResponse(Response):
    """Sends the first half of a body whose whole length it has promised, then drops the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        _transport(receive).close()


class ResetResponse(Response):
    """Drops the connection without a byte of reply."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _transport(receive).abort()


class TricklingResponse(Response):
    """A sound reply in drops, so that no wait for the next bytes is long and the whole one is."""

    def __init__(self, body: bytes, seconds: float) -> None:
        super().__init__(body, media_type="application/json")
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        drops = _drops(bytes(self.body))
        for drop in drops:
            await asyncio.sleep(self.seconds / len(drops))
            await send({"type": "http.response.body", "body": drop, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _drops(body: bytes) -> list[bytes]:
    size = max(1, len(body) // DROPS)
    return [body[start : start + size] for start in range(0, len(body), size)]


async def strike(fault: Fault, request: Request, sound: bytes) -> Response | None:
    """The failing response. None: the delay is over, or (gibberish) only the text is to change."""
    if fault.kind == "slow":
        await asyncio.sleep(fault.seconds)
    elif fault.kind == "hang":
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return ResetResponse()
    elif fault.kind == "cut":
        return BrokenResponse(sound, media_type="application/json")
    elif fault.kind == "trickle":
        return TricklingResponse(sound, fault.seconds)
    elif fault.kind == "garbage":
        return Response(b"<html>\x00 bad gateway? " + sound[:20], media_type="application/json")
    elif fault.kind == "reset":
        return ResetResponse()
    elif fault.kind in _STATUS:
        return _refusal(fault)
    return None


def _refusal(fault: Fault) -> Response:
    status, message, code, kind = _STATUS[fault.kind]
    headers = {} if fault.kind == "500" else {"retry-after": f"{fault.retry_after:g}"}
    body = orjson.dumps(ApiError(status, message, code, kind).body())
    return Response(body, status, headers, media_type="application/json")


def _transport(receive: Receive) -> Any:
    """The connection under the request: uvicorn's own object, reached through its `receive` method."""
    return receive.__self__.transport  # type: ignore[attr-defined]
