"""Server-sent events, and a bound on how many streams of them one key has open."""

from collections.abc import AsyncIterator
from typing import Any

from fastapi import Depends, Request
from fastapi.responses import StreamingResponse

from shared.rates import Streams


class EventStream(StreamingResponse):
    media_type = "text/event-stream"


def one_stream(streams: Streams) -> Any:
    """A route's dependency: one stream from the request until its answer ends; TooManyRequests beyond the bound."""

    async def hold(request: Request) -> AsyncIterator[None]:
        with streams.place(request.scope["comd_caller"]):
            yield

    return Depends(hold)
