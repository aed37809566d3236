"""Calls to one OpenAI-compatible engine: chat and models, under a deadline for the whole call, retried with care.

Repeated is only what is safe to repeat and may help: a connection that failed before a byte of a reply, and 429,
500, 502, 503, 504. A call that ran into its deadline is not: the engine may still be at it.
"""

import asyncio
from collections.abc import Callable
from itertools import count

import httpx
import orjson
from httpx_aiohttp import HttpxAiohttpClient

from shared.engine.exchange import Asked, Unreached, exchange, headers_of
from shared.engine.replies import completion, json_object, refusal
from shared.engine.retries import TRIES, pause_before_next
from shared.errors import (
    ComdError,
    EngineReplyError,
    EngineSlow,
    EngineUnavailable,
    EngineUnreachable,
)
from shared.types import EngineSpec, JsonObject

CONNECT_TIMEOUT_S = 5.0
HEALTH_TIMEOUT_S = 5.0
HTTP2 = False  # aiohttp's connections speak HTTP/1.1; with HTTP/2 the transport below httpx has to change too
CHAT, MODELS = "/v1/chat/completions", "/v1/models"

Notice = Callable[[], None]


def pooled_client(timeout_s: float, connections: int = 2048) -> httpx.AsyncClient:
    """One keep-alive pool for all engines of a process; the gates bound the calls, not the pool.

    httpx in front, aiohttp's connections below: httpcore's own pool looks at every connection for every request,
    which at 64 connections took more than half of a role service's time.
    """
    return HttpxAiohttpClient(
        timeout=httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S, pool=None),
        limits=httpx.Limits(
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=4.0,  # below uvicorn's 5 s, else a call may meet a connection that is just closed
        ),
        http2=HTTP2,
        trust_env=False,
        follow_redirects=False,
    )


async def chat(http: httpx.AsyncClient, spec: EngineSpec, body: JsonObject) -> JsonObject:
    """POST /v1/chat/completions and give the whole reply."""
    return (await timed_chat(http, spec, body))[0]


async def timed_chat(
    http: httpx.AsyncClient, spec: EngineSpec, body: JsonObject, on_refusal: Notice = lambda: None
) -> tuple[JsonObject, float]:
    """The reply and the seconds that the engine took for it; `on_refusal` is called at each 429 and 503."""
    read, seconds = await _ask(http, spec, chat_request(spec, body), on_refusal)
    return completion(spec, read), seconds


def chat_request(spec: EngineSpec, body: JsonObject) -> Asked:
    """The chat request as the engine gets it, under the model's name there."""
    return Asked("POST", CHAT, headers_of(spec, body), orjson.dumps({**body, "model": spec.model}))


async def models(http: httpx.AsyncClient, spec: EngineSpec) -> list[JsonObject]:
    """GET /v1/models: the engine's models."""
    reply, _ = await _ask(http, spec, Asked("GET", MODELS, headers_of(spec)))
    data = reply.get("data")
    if not isinstance(data, list):
        raise EngineReplyError(f"{spec.base_url}: expected a list of models, got {str(reply)[:200]}")
    return data


async def is_well(http: httpx.AsyncClient, spec: EngineSpec) -> bool:
    """Whether the engine itself answers: vLLM's /health, else its list of models."""
    path = "/health" if spec.kind == "vllm" else MODELS
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT_S):
            reply = await exchange(http, spec, Asked("GET", path, headers_of(spec)))
    except (Unreached, EngineReplyError, TimeoutError):
        return False
    return reply.status < 500


async def _ask(
    http: httpx.AsyncClient, spec: EngineSpec, asked: Asked, on_refusal: Notice = lambda: None
) -> tuple[JsonObject, float]:
    """The reply's JSON object and its seconds; one deadline holds for all tries together."""
    try:
        async with asyncio.timeout(http.timeout.read):
            return await _tried(http, spec, asked, on_refusal)
    except TimeoutError as error:
        raise slow(http, spec) from error


async def _tried(
    http: httpx.AsyncClient, spec: EngineSpec, asked: Asked, on_refusal: Notice
) -> tuple[JsonObject, float]:
    for attempt in count(1):
        status, retry_after_s = None, None
        try:
            reply = await exchange(http, spec, asked)
            status, read = json_object(spec, reply)
            if status == 200:
                return read, reply.seconds
            error, retry_after_s = refusal(spec, reply, status), reply.retry_after_s
        except Unreached as unreached:
            error = unreachable(spec, unreached)
        if status in {429, 503}:
            on_refusal()
        pause_s = pause_before_next(attempt, status, retry_after_s)
        if pause_s is None:
            raise await _whose_fault(http, spec, error)
        await asyncio.sleep(pause_s)
    raise AssertionError("counting has no end")


async def _whose_fault(http: httpx.AsyncClient, spec: EngineSpec, error: ComdError) -> ComdError:
    """An engine that fails one request may be well: then waiting does not help, and the request is at fault."""
    if isinstance(error, EngineUnreachable) and await is_well(http, spec):
        return EngineReplyError(
            f"{spec.base_url} drops the connection at this request, {TRIES} times, and is well otherwise"
        )
    if isinstance(error, EngineReplyError) and not await is_well(http, spec):
        return EngineUnavailable(error.message)
    return error


def unreachable(spec: EngineSpec, error: Exception) -> EngineUnreachable:
    return EngineUnreachable(
        f"the engine at {spec.base_url} cannot be reached ({error}); start it or correct base_url"
    )


def slow(http: httpx.AsyncClient, spec: EngineSpec) -> EngineSlow:
    return EngineSlow(
        f"the engine at {spec.base_url} gave no whole reply within {http.timeout.read} s; it hangs or has too "
        "much to do: look at its log, or raise timeout_s"
    )
