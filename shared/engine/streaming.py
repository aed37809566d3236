"""A streamed chat completion, passed through as it comes; not retried.

In: a request. Out: bytes, or an error: before the first of them where the engine refuses, after some where the stream
breaks, so that a broken stream never looks like a clean end. Closing the generator closes the call to the engine.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx
import orjson

from shared.engine.client import chat_request, slow, unreachable
from shared.engine.exchange import (
    MAX_REPLY_BYTES,
    RawReply,
    Unreached,
    broken_off,
    read_bounded,
    reply_to,
)
from shared.engine.pool import PooledClient
from shared.engine.replies import json_object, refusal
from shared.engine.retries import retry_after_s
from shared.errors import ComdError, EngineReplyError
from shared.types import EngineSpec, JsonObject

DONE = b"[DONE]"


async def stream(http: PooledClient, spec: EngineSpec, body: JsonObject) -> AsyncGenerator[bytes]:
    """The stream's bytes, under one deadline."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + (http.timeout.read or float("inf"))
    try:
        async with asyncio.timeout_at(ends):
            response = await reply_to(http, spec, chat_request(spec, body))
            await _check_head(spec, response)
    except TimeoutError as error:
        raise slow(http, spec) from error
    except Unreached as error:
        raise unreachable(spec, error) from error
    try:
        async with aclosing(_pieces(http, spec, response, ends)) as pieces:
            async for piece in pieces:
                yield piece
    finally:
        await response.aclose()


async def _check_head(spec: EngineSpec, response: httpx.Response) -> None:
    """The error where it is not a stream that begins."""
    if response.status_code == 200 and "text/event-stream" in response.headers.get("content-type", ""):
        return
    try:
        body = await read_bounded(spec, response)
    finally:
        await response.aclose()
    wait = retry_after_s(response.headers.get("retry-after"), time.time())
    reply = RawReply(response.status_code, body, 0.0, wait)
    status, _ = json_object(spec, reply)
    if status != 200:
        raise refusal(spec, reply, status)
    raise EngineReplyError(f"{spec.base_url}: expected a stream of events, got {reply.start()[:200]!r}")


async def _pieces(
    http: PooledClient, spec: EngineSpec, response: httpx.Response, ends: float
) -> AsyncGenerator[bytes]:
    """The body as it comes; an error where it does not end as a stream of events does."""
    tail, length, raw = b"", 0, response.aiter_raw()
    while True:
        try:
            async with asyncio.timeout_at(
                ends
            ):  # not round the loop: it must not strike in the reader's code
                piece = await anext(raw, None)
        except (httpx.TimeoutException, TimeoutError) as error:
            raise slow(http, spec) from error
        except httpx.HTTPError as error:
            raise broken_off(spec, error) from error
        if piece is None:
            break
        tail, length = (tail + piece)[-64:], length + len(piece)
        if length > MAX_REPLY_BYTES:
            raise EngineReplyError(f"{spec.base_url}: the stream is longer than {MAX_REPLY_BYTES} bytes")
        yield piece
    if DONE not in tail:
        raise EngineReplyError(f"{spec.base_url}: the stream ended without {DONE.decode()}")


def error_event(error: ComdError) -> bytes:
    """OpenAI's error object as a server-sent event of its own."""
    return b"\n\ndata: " + orjson.dumps(error.body()) + b"\n\n"
