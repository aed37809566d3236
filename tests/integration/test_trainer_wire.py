"""The connection to the student's engine: kept connections, closed ones, streams, nobody there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.trainer.serving.wire import Wire
from shared.errors import EngineUnavailable
from tests.loopback import free_port

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Kind: c\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"
)


@asynccontextmanager
async def server(*answers: bytes, close: bool = False) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Gives the answers in turn, whatever is asked; closes after each where told to. Lists the connections."""
    left, opened = list(answers), []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(b"connection")
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(left.pop(0))
                await writer.drain()
                if close:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    port = free_port()
    running = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield port, opened
    finally:
        running.close()


async def test_connections_are_kept_and_used_again() -> None:
    async with server(OK, OK, CHUNKED) as (port, opened):
        wire = Wire(f"http://127.0.0.1:{port}", "key")
        assert [(await wire.request("GET", "/")).body for _ in range(3)] == [b"hi", b"hi", b"abcde"]
        assert len(opened) == 1
        await wire.close()


async def test_a_connection_that_was_closed_meanwhile_is_replaced() -> None:
    async with server(OK, OK, close=True) as (port, opened):
        wire = Wire(f"http://127.0.0.1:{port}", "key")
        assert (await wire.request("GET", "/")).status == 200
        assert (await wire.request("GET", "/")).status == 200
        assert len(opened) == 2
        await wire.close()


async def test_a_stream_gives_head_and_pieces() -> None:
    async with server(CHUNKED) as (port, _):
        wire = Wire(f"http://127.0.0.1:{port}", "key")
        head, pieces = await wire.stream("POST", "/", b"{}")
        assert (head.status, head.headers["x-kind"]) == (200, "c")
        assert b"".join([piece async for piece in pieces]) == b"abcde"
        await wire.close()


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", b"nonsense\r\n\r\n"]
)
async def test_a_broken_answer_is_an_engine_that_is_down(answer: bytes) -> None:
    async with server(answer, close=True) as (port, _):
        wire = Wire(f"http://127.0.0.1:{port}", "key")
        with pytest.raises(EngineUnavailable):
            await wire.request("GET", "/")
        await wire.close()


async def test_nobody_there() -> None:
    wire = Wire(f"http://127.0.0.1:{free_port()}", "key")
    with pytest.raises(EngineUnavailable, match="does not answer"):
        await wire.request("GET", "/")
    await wire.close()


async def test_silence_ends_with_the_timeout() -> None:
    async with server(b"HTTP/1.1 ") as (port, _):
        wire = Wire(f"http://127.0.0.1:{port}", "key", timeout_s=0.05)
        with pytest.raises(EngineUnavailable, match="does not answer"):
            await wire.request("GET", "/")
        await wire.close()
