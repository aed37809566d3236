"""The pool of keep-alive connections to engines and services: httpx in front, aiohttp's connections below.

httpcore's own pool looks at every connection for every request, which at 64 connections took more than half of a
role service's time. HTTP/1.1: HTTP/2 by httpx took more than twice the time (benchmarks, "What a role service adds").
"""

from functools import lru_cache

import httpx
from httpx_aiohttp import AiohttpTransport

CONNECT_TIMEOUT_S = 5.0


class PooledClient(httpx.AsyncClient):
    """An httpx client that can also send a request as it is (`send_bare`)."""

    def __init__(self, transport: httpx.AsyncBaseTransport, timeout: httpx.Timeout):
        super().__init__(transport=transport, timeout=timeout, trust_env=False, follow_redirects=False)
        self._bare_transport, self._extensions = transport, {"timeout": timeout.as_dict()}

    async def send_bare(
        self, method: str, url: str, headers: dict[str, str], content: bytes | None
    ) -> httpx.Response:
        """The reply's head, its body still to be read; redirects, cookies and the client's headers play no part.

        That spares what the client merges and copies for each request: a fifth to a third of a role service's time.
        """
        request = httpx.Request(
            method, _parsed(url), headers=headers, content=content, extensions=self._extensions
        )
        return await self._bare_transport.handle_async_request(request)


def pooled_client(timeout_s: float, connections: int = 2048) -> PooledClient:
    """One pool for all engines of a process; the gates bound the calls, not the pool."""
    limits = httpx.Limits(
        max_connections=connections,
        max_keepalive_connections=connections,
        keepalive_expiry=4.0,  # below uvicorn's 5 s, else a call may meet a connection that is just closed
    )
    timeout = httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S, pool=None)
    return PooledClient(AiohttpTransport(limits=limits, trust_env=False), timeout)


@lru_cache(maxsize=256)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)
