"""One HTTP exchange with an engine: in a request, out the whole reply; bounded in size, redirects not followed."""

import time
from dataclasses import dataclass

import httpx

from shared import request_ids
from shared.engine.pool import PooledClient
from shared.engine.retries import retry_after_s
from shared.engine.sessions import session_of
from shared.errors import EngineReplyError
from shared.keys import engine_key
from shared.types import EngineSpec, JsonObject

MAX_REPLY_BYTES = 32 * 1024 * 1024


class Unreached(Exception):
    """The connection failed before a byte of a reply came: the engine cannot have answered."""

    def __init__(self, error: Exception):
        super().__init__(str(error) or type(error).__name__)


@dataclass(frozen=True, slots=True)
class RawReply:
    """A whole reply; `seconds` from the request's first byte to the reply's last."""

    status: int
    body: bytes
    seconds: float
    retry_after_s: float | None = None

    def start(self) -> str:
        """The beginning, for messages."""
        return self.body[:300].decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it goes over the wire, except for the engine's URL."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes | None = None


async def exchange(http: PooledClient, spec: EngineSpec, asked: Asked) -> RawReply:
    """Unreached where no byte of a reply came; EngineReplyError where the reply broke off or is too long."""
    started = time.perf_counter()
    response = await reply_to(http, spec, asked)
    try:
        body = await read_bounded(spec, response)
    finally:
        await response.aclose()
    wait = retry_after_s(response.headers.get("retry-after"), time.time())
    return RawReply(response.status_code, body, time.perf_counter() - started, wait)


async def reply_to(http: PooledClient, spec: EngineSpec, asked: Asked) -> httpx.Response:
    """The reply's head, its body still to be read."""
    url = f"{spec.base_url.rstrip('/')}{asked.path}"
    try:
        return await http.send_bare(asked.method, url, asked.headers, asked.content)
    except httpx.ConnectTimeout as error:
        raise Unreached(error) from error
    except httpx.TimeoutException as error:  # connected, but silent: the engine may be at it
        raise TimeoutError from error
    except httpx.HTTPError as error:
        raise Unreached(error) from error


async def read_bounded(spec: EngineSpec, response: httpx.Response) -> bytes:
    """The body, up to MAX_REPLY_BYTES."""
    body = bytearray()
    try:
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > MAX_REPLY_BYTES:
                raise EngineReplyError(
                    f"{spec.base_url}: the reply is longer than {MAX_REPLY_BYTES} bytes; ask for fewer tokens"
                )
    except httpx.TimeoutException as error:
        raise TimeoutError from error
    except httpx.HTTPError as error:
        raise broken_off(spec, error) from error
    return bytes(body)


def broken_off(spec: EngineSpec, error: Exception) -> EngineReplyError:
    said = str(error) or type(error).__name__
    return EngineReplyError(
        f"{spec.base_url}: the reply broke off or had another length than it said ({said})"
    )


def headers_of(spec: EngineSpec, body: JsonObject | None = None) -> dict[str, str]:
    """The engine's key, and for vLLM the picture's name, by which a router keeps it on one replica."""
    headers = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "comd"}
    if request_id := request_ids.current():
        headers[request_ids.HEADER] = request_id
    if key := engine_key(spec.key_name):
        headers["authorization"] = f"Bearer {key}"
    if body is not None and spec.kind == "vllm" and (session := session_of(body["messages"])):
        headers["x-session-id"] = session
    return headers
