"""Calls to one OpenAI-compatible engine: chat and models, under a deadline for the whole call, retried with care.

Repeated is only what is safe to repeat and may help: a connection that failed before a byte of a reply, and 429,
500, 502, 503, 504. A call that ran into its deadline is not: the engine may still be at it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import orjson

from shared.engine.exchange import Asked, Unreached, exchange, headers_of
from shared.engine.pool import PooledClient
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

HEALTH_TIMEOUT_S = 5.0
CHAT, MODELS = "/v1/chat/completions", "/v1/models"

AWAY = {None, 502, 503, 504}  # None: the connection failed

Notice = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Notices:
    """Whom a call tells, while it lasts, of its tries in vain.

    `refused`: at each 429 and 503. `away`: where nobody answered, so that the next try may meet another model.
    """

    refused: Notice = lambda: None
    away: Notice = lambda: None


NOBODY = Notices()


async def chat(http: PooledClient, spec: EngineSpec, body: JsonObject) -> JsonObject:
    """POST /v1/chat/completions and give the whole reply."""
    return (await timed_chat(http, spec, body))[0]


async def timed_chat(
    http: PooledClient, spec: EngineSpec, body: JsonObject, notices: Notices = NOBODY
) -> tuple[JsonObject, float]:
    """The reply and the seconds that the engine took for it."""
    read, seconds = await _ask(http, spec, chat_request(spec, body), notices)
    return completion(spec, read), seconds


def chat_request(spec: EngineSpec, body: JsonObject) -> Asked:
    """The chat request as the engine gets it, under the model's name there."""
    return Asked("POST", CHAT, headers_of(spec, body), orjson.dumps({**body, "model": spec.model}))


async def models(http: PooledClient, spec: EngineSpec) -> list[JsonObject]:
    """GET /v1/models: the engine's models."""
    reply, _ = await _ask(http, spec, Asked("GET", MODELS, headers_of(spec)))
    data = reply.get("data")
    if not isinstance(data, list):
        raise EngineReplyError(f"{spec.base_url}: expected a list of models, got {str(reply)[:200]}")
    return data


async def is_well(http: PooledClient, spec: EngineSpec) -> bool:
    """Whether the engine itself answers: vLLM's /health, else its list of models."""
    path = "/health" if spec.kind == "vllm" else MODELS
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT_S):
            reply = await exchange(http, spec, Asked("GET", path, headers_of(spec)))
    except (Unreached, EngineReplyError, TimeoutError):
        return False
    return reply.status < 500


async def _ask(
    http: PooledClient, spec: EngineSpec, asked: Asked, notices: Notices = NOBODY
) -> tuple[JsonObject, float]:
    """The reply's JSON object and its seconds; one deadline holds for all tries together."""
    try:
        async with asyncio.timeout(http.timeout.read):
            return await _tried(http, spec, asked, notices)
    except TimeoutError as error:
        raise slow(http, spec) from error


async def _tried(
    http: PooledClient, spec: EngineSpec, asked: Asked, notices: Notices
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
            notices.refused()
        if status in AWAY:
            notices.away()
        pause_s = pause_before_next(attempt, status, retry_after_s)
        if pause_s is None:
            raise await _whose_fault(http, spec, error)
        await asyncio.sleep(pause_s)
    raise AssertionError("counting has no end")


async def _whose_fault(http: PooledClient, spec: EngineSpec, error: ComdError) -> ComdError:
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


def slow(http: PooledClient, spec: EngineSpec) -> EngineSlow:
    return EngineSlow(
        f"the engine at {spec.base_url} gave no whole reply within {http.timeout.read} s; it hangs or has too "
        "much to do: look at its log, or raise timeout_s"
    )
