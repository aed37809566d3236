"""One client of an engine or a role service, which makes calls when told to, 32 at once.

In: `python -m benchmarks.roles.client NAME URL BODIES`, a JSON file of bodies by mode; then lines such as
`image 192` on stdin. Out: a line on stdout when those calls are answered. Who measures looks from outside.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import orjson

AT_ONCE = 32
TIMEOUT_S = 60.0

Body = dict[str, Any]
Call = Callable[[Body], Awaitable[None]]


@asynccontextmanager
async def by_aiohttp(url: str, sent: Callable[[Body], dict[str, Any]]) -> AsyncIterator[Call]:
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    headers = {"authorization": f"Bearer {os.environ['COMD_API_KEY']}", "content-type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def call(body: Body) -> None:
            while True:
                async with session.post(url, **sent(body)) as response:
                    if response.status != 429:  # a role service finds its engine's limit from a few calls on
                        return expect(response.status, await response.json())
                    await asyncio.sleep(float(response.headers["retry-after"]))

        yield call


def bare_aiohttp(url: str) -> Any:
    """As its documentation has it: one session, `json=`. Also the caller of the role services."""
    return by_aiohttp(url, lambda body: {"json": body})


def aiohttp_orjson(url: str) -> Any:
    """The least that a Python client can do with a body that is not yet bytes."""
    return by_aiohttp(url, lambda body: {"data": orjson.dumps(body)})


@asynccontextmanager
async def by_httpx(url: str, http: httpx.AsyncClient) -> AsyncIterator[Call]:
    async def call(body: Body) -> None:
        response = await http.post(url, json=body)
        expect(response.status_code, response.json())

    async with http:
        yield call


def bare_httpx(url: str) -> Any:
    return by_httpx(url, httpx.AsyncClient(timeout=TIMEOUT_S, limits=httpx.Limits(max_connections=AT_ONCE)))


def httpx_over_aiohttp(url: str) -> Any:
    """What our services call engines with."""
    from shared.engine import pooled_client

    return by_httpx(url, pooled_client(TIMEOUT_S))


def httpx_http2(url: str) -> Any:
    """All calls on one connection; without TLS HTTP/2 has to be known beforehand."""
    return by_httpx(url, httpx.AsyncClient(http1=False, http2=True, timeout=TIMEOUT_S))


@asynccontextmanager
async def openai(url: str) -> AsyncIterator[Call]:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=url.removesuffix("/chat/completions"), api_key="none", timeout=TIMEOUT_S)

    async def call(body: Body) -> None:
        completion = await client.chat.completions.create(**body)
        expect(200, completion.model_dump(include={"choices"}))

    async with client:
        yield call


CLIENTS: dict[str, Callable[[str], Any]] = {
    function.__name__: function
    for function in (bare_aiohttp, aiohttp_orjson, bare_httpx, httpx_over_aiohttp, httpx_http2, openai)
}


def expect(status: int, reply: dict[str, Any]) -> None:
    """RuntimeError unless it is an answer: a quick refusal must not pass for a quick call."""
    if status != 200 or reply.get("unjudged") or not (reply.get("choices") or reply.get("runs")):
        raise RuntimeError(f"expected an answer, got {status}: {str(reply)[:300]}")


async def run(call: Call, bodies: list[Body], count: int) -> None:
    """`count` calls, 32 at once until none is left."""
    waiting = iter(range(count))

    async def worker() -> None:
        for number in waiting:
            await call(bodies[number % len(bodies)])

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


async def main(name: str, url: str, path: str) -> None:
    bodies = json.loads(Path(path).read_text())
    async with CLIENTS[name](url) as call:
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            mode, count = line.split()
            await run(call, bodies[mode], int(count))
            print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
