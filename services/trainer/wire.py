"""A lean HTTP/1.1 client for one server on this machine: the student's engine. In: a path and bytes.
Out: status and bytes. httpx spends milliseconds a request with many open connections; a tiny student's
whole answer takes two.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from typing import TypeVar, cast

import httptools

from shared.errors import EngineUnavailable

T = TypeVar("T")


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Connection(asyncio.Protocol):
    """One keep-alive connection; one request at a time. Pieces of the body arrive in a queue, None ends it."""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.answer = Answer()
        self.headers_done = asyncio.Event()
        self.transport: asyncio.Transport | None = None
        self.reusable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one without inheriting from it

    def send(self, data: bytes) -> None:
        self.answer, self.headers_done = Answer(), asyncio.Event()
        self.parser = httptools.HttpResponseParser(self)
        assert self.transport is not None
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._broken(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._broken(exc or ConnectionResetError("the connection was closed"))

    def _broken(self, error: Exception) -> None:
        self.reusable = False
        self.pieces.put_nowait(error)
        self.headers_done.set()

    # What httptools calls, by these names.
    def on_header(self, name: bytes, value: bytes) -> None:
        self.answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.answer.status = self.parser.get_status_code()
        self.headers_done.set()

    def on_body(self, body: bytes) -> None:
        self.pieces.put_nowait(body)

    def on_message_complete(self) -> None:
        self.reusable = self.parser.should_keep_alive()
        self.pieces.put_nowait(None)


class Wire:
    """Pooled connections to one host and port. EngineUnavailable where it does not answer."""

    def __init__(self, host: str, port: int, key: str, timeout_s: float = 300.0):
        self.host, self.port, self.key, self.timeout_s = host, port, key, timeout_s
        self._idle: list[Connection] = []

    async def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        """The whole answer. A kept connection that turns out closed is replaced once."""
        connection = await self._begin(method, path, body)
        pieces = [piece async for piece in self._pieces(connection)]
        connection.answer.body = b"".join(pieces)
        return connection.answer

    async def stream(self, method: str, path: str, body: bytes) -> tuple[Answer, AsyncIterator[bytes]]:
        """Status and headers, and the body's pieces as they come."""
        connection = await self._begin(method, path, body)
        return connection.answer, self._pieces(connection)

    def close(self) -> None:
        while self._idle:
            if transport := self._idle.pop().transport:
                transport.close()

    async def _begin(self, method: str, path: str, body: bytes) -> Connection:
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            f"Authorization: Bearer {self.key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        while True:
            kept = self._idle.pop() if self._idle else None
            connection = kept or await self._connect()
            if connection.reusable:
                connection.send(head + body)
                await self._within(connection.headers_done.wait())
                if connection.answer.status or kept is None:
                    return connection

    async def _pieces(self, connection: Connection) -> AsyncIterator[bytes]:
        whole = False
        try:
            while (piece := await self._within(connection.pieces.get())) is not None:
                if isinstance(piece, Exception):
                    raise EngineUnavailable(f"the student's engine broke off: {piece}") from piece
                yield piece
            whole = True
        finally:
            if whole and connection.reusable:
                self._idle.append(connection)
            elif connection.transport:
                connection.transport.close()

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(Connection, self.host, self.port)
        except OSError as error:
            raise EngineUnavailable(f"the student's engine cannot be reached: {error}") from error
        return connection

    async def _within(self, waiting: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self.timeout_s):
                return await waiting
        except TimeoutError as error:
            raise EngineUnavailable(f"no answer from the student's engine in {self.timeout_s:g} s") from error
