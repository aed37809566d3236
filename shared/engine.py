"""The client of one OpenAI-compatible engine: chat, models; pooled connections, deadlines, bounded retries.

Out: the engine's reply as it came, or EngineUnavailable (wait and ask again), EngineReplyError (not the
protocol), BadRequest (the engine refuses this request).
"""

import asyncio
import random
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import orjson
from httpx_aiohttp import HttpxAiohttpClient

from shared.errors import BadRequest, ConfigError, EngineReplyError, EngineUnavailable, Unprocessable
from shared.keys import engine_key
from shared.types import EngineSpec, JsonObject

TRIES = 3
RETRIED = {429, 500, 502, 503, 504}
CONNECT_TIMEOUT_S = 5.0


def pooled_client(timeout_s: float, connections: int = 256) -> httpx.AsyncClient:
    """One keep-alive pool for all engines of a process.

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
        trust_env=False,
        follow_redirects=False,
    )


def check_allowed(spec: EngineSpec, allowed_hosts: frozenset[str]) -> None:
    """Unprocessable unless the operator's allow-list has the engine's host (`host` or `host:port`)."""
    parts = urlsplit(spec.base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Unprocessable(f"base_url {spec.base_url!r}: expected http://HOST:PORT or https://HOST")
    if not {parts.hostname, parts.netloc} & allowed_hosts:
        raise Unprocessable(
            f"engine host {parts.netloc!r} is not on the allow-list ({', '.join(sorted(allowed_hosts))}); "
            "the operator adds it with the setting allowed_engine_hosts"
        )


async def chat(http: httpx.AsyncClient, spec: EngineSpec, body: JsonObject) -> JsonObject:
    """POST /v1/chat/completions and give the whole reply. Repeats the identical request at most twice."""
    reply = await _request(
        http, "POST", spec, "/v1/chat/completions", orjson.dumps({**body, "model": spec.model})
    )
    choices = reply.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0].get("message"), dict):
        raise EngineReplyError(
            f"{spec.base_url}: expected a chat completion with choices, got {str(reply)[:200]}"
        )
    return reply


async def models(http: httpx.AsyncClient, spec: EngineSpec) -> list[JsonObject]:
    """GET /v1/models: the engine's models."""
    reply = await _request(http, "GET", spec, "/v1/models", None)
    data = reply.get("data")
    if not isinstance(data, list):
        raise EngineReplyError(f"{spec.base_url}: expected a list of models, got {str(reply)[:200]}")
    return data


async def stream(http: httpx.AsyncClient, spec: EngineSpec, body: JsonObject) -> AsyncIterator[bytes]:
    """The bytes of a streamed chat completion, passed through as they come; not retried."""
    content = orjson.dumps({**body, "model": spec.model})
    url = f"{spec.base_url.rstrip('/')}/v1/chat/completions"
    try:
        async with http.stream("POST", url, content=content, headers=_headers(spec)) as response:
            if response.status_code != 200:
                await response.aread()
                _raise_for(spec, response)
            async for piece in response.aiter_raw():
                yield piece
    except httpx.HTTPError as error:
        raise EngineUnavailable(_unreachable(spec, error)) from error


def text_of(reply: JsonObject) -> tuple[str, str]:
    """The reply's text and finish reason."""
    choice = reply["choices"][0]
    content = choice["message"].get("content")
    if not isinstance(content, str):
        raise EngineReplyError(f"expected text in the engine's message, got {str(choice['message'])[:200]}")
    return content, str(choice.get("finish_reason") or "stop")


async def _request(
    http: httpx.AsyncClient, method: str, spec: EngineSpec, path: str, content: bytes | None
) -> JsonObject:
    url = f"{spec.base_url.rstrip('/')}{path}"
    for attempt in range(1, TRIES + 1):
        try:
            response = await http.request(method, url, content=content, headers=_headers(spec))
        except httpx.HTTPError as error:
            if attempt == TRIES:
                raise EngineUnavailable(_unreachable(spec, error)) from error
            await _pause(attempt, None)
            continue
        if response.status_code in RETRIED and attempt < TRIES:
            await _pause(attempt, response.headers.get("retry-after"))
            continue
        return _json(spec, response)
    raise AssertionError("the loop returns or raises")


def _json(spec: EngineSpec, response: httpx.Response) -> JsonObject:
    if response.status_code != 200:
        _raise_for(spec, response)
    try:
        reply = orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        raise EngineReplyError(f"{spec.base_url}: expected JSON, got {response.text[:200]!r}") from error
    if not isinstance(reply, dict):
        raise EngineReplyError(f"{spec.base_url}: expected a JSON object, got {response.text[:200]!r}")
    return reply


def _raise_for(spec: EngineSpec, response: httpx.Response) -> None:
    said = f"{spec.base_url} answered {response.status_code}: {response.text[:300]}"
    if response.status_code in RETRIED:
        raise EngineUnavailable(said, retry_after_s=_seconds(response.headers.get("retry-after")) or 1.0)
    if response.status_code in {401, 403}:
        raise ConfigError(f"{said}; check the engine's key ({spec.key_name or 'none is configured'})")
    raise BadRequest(said, code="engine_refused")


def _headers(spec: EngineSpec) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    if key := engine_key(spec.key_name):
        headers["authorization"] = f"Bearer {key}"
    return headers


def _unreachable(spec: EngineSpec, error: Exception) -> str:
    said = str(error) or type(error).__name__
    return f"the engine at {spec.base_url} cannot be reached ({said}); start it or correct base_url"


def _seconds(retry_after: str | None) -> float | None:
    try:
        return min(float(retry_after), 60.0) if retry_after else None
    except ValueError:
        return None


async def _pause(attempt: int, retry_after: str | None) -> None:
    await asyncio.sleep(_seconds(retry_after) or 0.1 * 2**attempt * random.uniform(0.5, 1.5))
