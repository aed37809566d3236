"""The connection from the trainer to the student's engine on this machine. In: a path and bytes. Out: the same.

aiohttp, bare: with a hundred open connections httpx's own pool spends more on a request than a tiny student on
its answer.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from shared.errors import EngineUnavailable

KEPT_ALIVE_S = 3.0  # less than uvicorn keeps them, so that no request meets a closing connection


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Wire:
    """Pooled connections to one engine, by TCP or by a unix socket. EngineUnavailable where it is silent."""

    def __init__(
        self, url: str, key: str | None = None, socket: Path | None = None, timeout_s: float = 300.0
    ):
        connector = (
            aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_ALIVE_S)
            if socket is None
            else aiohttp.UnixConnector(str(socket), limit=0, keepalive_timeout=KEPT_ALIVE_S)
        )
        self._session = aiohttp.ClientSession(
            url,
            headers={"content-type": "application/json"}
            | ({"authorization": f"Bearer {key}"} if key else {}),
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_read=timeout_s),
            trust_env=False,
        )

    async def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        """The whole answer."""
        with _unavailable():
            async with self._session.request(method, path, data=body) as response:
                return Answer(response.status, _headers(response), await response.read())

    async def stream(self, method: str, path: str, body: bytes) -> tuple[Answer, AsyncIterator[bytes]]:
        """Status and headers, and the body's pieces as they come."""
        with _unavailable():
            response = await self._session.request(method, path, data=body)
        return Answer(response.status, _headers(response)), _pieces(response)

    async def close(self) -> None:
        await self._session.close()


async def _pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    with _unavailable():
        async with response:
            async for piece in response.content.iter_any():
                yield piece


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:
        said = str(error) or type(error).__name__
        raise EngineUnavailable(f"the student's engine does not answer ({said})") from error
