"""An engine over raw sockets that does whatever a test says, byte by byte.

In: for each chat request, a function that writes to the connection. Out: what was asked, and how many are connected.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson

from shared.types import JsonObject

Act = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Engine:
    """`acts` are used up one a chat request; the last stays. `well` is what the list of models answers."""

    acts: list[Act] = field(default_factory=list)
    well: bool = True
    metrics: bytes = b""
    port: int = 0
    chats: int = 0
    open_chats: int = 0
    headers: list[dict[str, str]] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Nobody listens any more, and every connection is gone."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while not writer.is_closing():
                path, headers = await _read_request(reader)
                if path == "/v1/chat/completions":
                    await self._chat(headers, reader, writer)
                elif path == "/metrics":
                    await reply(self.metrics, content_type="text/plain")(writer)
                else:
                    listed = {"object": "list", "data": [{"id": "m"}]}
                    await reply(listed, 200 if self.well else 500)(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _chat(
        self, headers: dict[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.chats += 1
        self.headers.append(headers)
        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
        self.open_chats += 1
        acting = asyncio.ensure_future(act(writer))
        leaving = asyncio.create_task(reader.read(1))
        await asyncio.wait({acting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        for task in (acting, leaving):
            task.cancel()
        await asyncio.gather(acting, leaving, return_exceptions=True)
        self.open_chats -= 1


@asynccontextmanager
async def misbehaving(*acts: Act, well: bool = True) -> AsyncGenerator[Engine]:
    """An engine while it runs."""
    engine = Engine(list(acts), well)
    await engine.up()
    try:
        yield engine
    finally:
        await engine.down()


def completion(text: str = "a lamp") -> JsonObject:
    """A sound chat completion."""
    message = {"role": "assistant", "content": text}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def reply(body: JsonObject | bytes, status: int = 200, after_s: float = 0.0, **headers: str) -> Act:
    """A whole reply; a header's `_` stands for `-`."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    given = {"content-type": "application/json", "content-length": str(len(content))}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return raw(f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode() + content, after_s)


def raw(content: bytes, after_s: float = 0.0) -> Act:
    """These bytes, whatever they are."""

    async def act(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(after_s)
        writer.write(content)
        await writer.drain()

    return act


def then_close(act: Act, *, reset: bool = False) -> Act:
    """Ends the connection after the act; `reset` ends it without what is still to be sent."""

    async def both(writer: asyncio.StreamWriter) -> None:
        await act(writer)
        writer.transport.abort() if reset else writer.close()

    return both


async def hang(writer: asyncio.StreamWriter) -> None:
    """No reply at all."""
    await asyncio.Event().wait()


async def trickle(writer: asyncio.StreamWriter) -> None:
    """A reply that never pauses for long and never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


def events(*texts: str, done: bool = True, then: Act | None = None) -> Act:
    """A stream of events in chunks; without `done` its last event and its last chunk are missing."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for text in texts:
            delta = orjson.dumps({"choices": [{"index": 0, "delta": {"content": text}}]})
            writer.write(_chunk(b"data: " + delta + b"\n\n"))
        if done:
            writer.write(_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        await writer.drain()
        if then is not None:
            await then(writer)

    return act


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.split("\r\n")
    headers = {line.split(": ")[0].lower(): line.split(": ")[1] for line in lines if line}
    await reader.readexactly(int(headers.get("content-length", 0)))
    return first.split(" ")[1], headers
