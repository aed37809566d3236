"""The engine client against engines that hang, trickle, reset, lie, refuse, and go away."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from shared import engine
from shared.errors import (
    BadRequest,
    ComdError,
    ConfigError,
    EngineReplyError,
    EngineSlow,
    EngineUnavailable,
    EngineUnreachable,
    NotFound,
)
from shared.types import EngineSpec
from tests.doubles import misbehaving_engine as bad
from tests.doubles.misbehaving_engine import completion, misbehaving, reply
from tests.loopback import free_port

BODY = {"messages": [{"role": "user", "content": "what is on the desk?"}]}
SOUND = reply(completion())
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with engine.pooled_client(1.0) as client:
        yield client


def spec_of(double: bad.Engine, **given: object) -> EngineSpec:
    return EngineSpec.model_validate({"base_url": double.url, "model": "m", **given})


@pytest.mark.parametrize("act", [bad.hang, bad.trickle])
async def test_one_deadline_holds_for_the_whole_call_and_is_not_repeated(
    http: httpx.AsyncClient, act: bad.Act
) -> None:
    async with misbehaving(act) as double:
        began = time.monotonic()
        with pytest.raises(EngineSlow, match=r"no whole reply within 1\.0 s"):
            await engine.chat(http, spec_of(double), BODY)
        assert time.monotonic() - began < 1.5
        assert double.chats == 1


@pytest.mark.parametrize(
    "act",
    [
        bad.then_close(bad.raw(b""), reset=True),
        bad.then_close(bad.raw(b"")),
        reply({"error": {"message": "wait"}}, 503, retry_after="0.1"),
        reply({"error": {"message": "wait"}}, 429),
        reply({"error": {"message": "oops"}}, 500),
        reply({"error": {"message": "slow down", "type": "rate_limit_exceeded"}}),
    ],
)
async def test_what_is_over_at_the_next_try_is_not_seen(http: httpx.AsyncClient, act: bad.Act) -> None:
    async with misbehaving(act, SOUND) as double:
        said = await engine.chat(http, spec_of(double), BODY)
        assert engine.text_of(said) == ("a lamp", "stop")
        assert double.chats == 2


async def test_retry_after_is_honoured(http: httpx.AsyncClient) -> None:
    async with misbehaving(reply(b"", 503, retry_after="0.7"), SOUND) as double:
        began = time.monotonic()
        await engine.chat(http, spec_of(double), BODY)
        assert time.monotonic() - began >= 0.7


async def test_a_long_retry_after_is_left_to_the_caller(http: httpx.AsyncClient) -> None:
    async with misbehaving(reply(b"", 429, retry_after="20")) as double:
        with pytest.raises(EngineUnavailable) as caught:
            await engine.chat(http, spec_of(double), BODY)
        assert caught.value.retry_after_s == 20
        assert double.chats == 1


LIES = {
    "longer than it says": (bad.then_close(bad.raw(HEAD + b"content-length: 10\r\n\r\n{}")), "broke off"),
    "cut in a chunk": (
        bad.then_close(bad.raw(HEAD + b"transfer-encoding: chunked\r\n\r\nff\r\n{")),
        "broke off",
    ),
    "html": (reply(b"<html>welcome</html>", content_type="text/html"), "expected JSON"),
    "a list": (reply(b"[]"), "expected a JSON object"),
    "not a completion": (reply({"choices": []}), "expected a chat completion"),
    "choices of another kind": (reply({"choices": ["x"]}), "expected a chat completion"),
    "an error without a kind": (reply({"error": {"message": "boom"}}), "boom"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_replies_that_are_not_what_they_should_be(http: httpx.AsyncClient, lie: str) -> None:
    act, said = LIES[lie]
    async with misbehaving(act) as double:
        with pytest.raises(EngineReplyError, match=said):
            await engine.chat(http, spec_of(double), BODY)


async def test_a_reply_without_end_is_not_read_to_the_end(http: httpx.AsyncClient) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"connection: close\r\n\r\n")
        while True:
            writer.write(b" " * 1_000_000)
            await writer.drain()

    async with misbehaving(endless) as double:
        with pytest.raises(EngineReplyError, match="longer than"):
            await engine.chat(http, spec_of(double), BODY)


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (reply({"error": {"message": "m", "type": "invalid_request_error"}}), BadRequest),
        (reply({"object": "error", "message": "m", "code": 400}), BadRequest),
        (reply({"error": {"message": "m", "code": "context_length_exceeded"}}, 400), BadRequest),
        (reply({"error": {"message": "m", "code": "invalid_api_key"}}), ConfigError),
        (reply(b"", 401), ConfigError),
        (reply(b"", 307, location="http://127.0.0.1:1/"), ConfigError),
        (reply({"error": {"message": "no such model"}}, 404), NotFound),
        (reply({"error": {"message": "m", "code": "server_overloaded"}}), EngineUnavailable),
        (reply({"error": {"message": "m", "code": 429}}), EngineUnavailable),
    ],
)
async def test_refusals_by_what_they_mean(
    http: httpx.AsyncClient, act: bad.Act, error: type[ComdError]
) -> None:
    async with misbehaving(act) as double:
        with pytest.raises(error):
            await engine.chat(http, spec_of(double), BODY)


@pytest.mark.parametrize(("well", "error"), [(True, EngineReplyError), (False, EngineUnavailable)])
@pytest.mark.parametrize("act", [reply(b"", 500), bad.then_close(bad.raw(b""), reset=True)])
async def test_whose_fault_a_failure_is_depends_on_whether_the_engine_is_well(
    http: httpx.AsyncClient, act: bad.Act, well: bool, error: type[ComdError]
) -> None:
    async with misbehaving(act, well=well) as double:
        with pytest.raises(error):
            await engine.chat(http, spec_of(double), BODY)
        assert double.chats == 3


async def test_nobody_there(http: httpx.AsyncClient) -> None:
    spec = EngineSpec(base_url=f"http://127.0.0.1:{free_port()}", model="m")
    with pytest.raises(EngineUnreachable, match=f"{spec.base_url} cannot be reached .*; start it or correct"):
        await engine.chat(http, spec, BODY)


@pytest.mark.parametrize(("kind", "session"), [("vllm", "ab" * 32), ("openai", None)])
async def test_vllm_gets_the_picture_as_the_session(
    http: httpx.AsyncClient, kind: str, session: str | None
) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}, "uuid": "ab" * 32}
    body = {"messages": [{"role": "user", "content": [picture, {"type": "text", "text": "what?"}]}]}
    async with misbehaving(SOUND) as double:
        await engine.chat(http, spec_of(double, kind=kind), body)
        assert double.headers[0].get("x-session-id") == session


async def test_a_sound_stream_comes_as_it_is(http: httpx.AsyncClient) -> None:
    async with misbehaving(bad.events("a ", "lamp")) as double:
        pieces = [piece async for piece in engine.stream(http, spec_of(double), {**BODY, "stream": True})]
        assert b"".join(pieces).endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    "act",
    [
        bad.then_close(bad.events("a ", done=False)),
        bad.then_close(bad.events("a ", done=False, then=bad.raw(b"0\r\n\r\n"))),
        bad.events("a ", done=False, then=bad.hang),
    ],
    ids=["cut", "a clean end without [DONE]", "hangs"],
)
async def test_a_broken_stream_is_an_error_after_its_first_pieces(
    http: httpx.AsyncClient, act: bad.Act
) -> None:
    async with misbehaving(act) as double:
        pieces = engine.stream(http, spec_of(double), BODY)
        assert b"a " in await anext(pieces)
        with pytest.raises(ComdError):
            await anext(pieces)


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (reply(b"", 503), EngineUnavailable),
        (reply({"error": {"message": "m", "code": 429}}), EngineUnavailable),
        (SOUND, EngineReplyError),
    ],
)
async def test_a_stream_that_does_not_begin(
    http: httpx.AsyncClient, act: bad.Act, error: type[ComdError]
) -> None:
    async with misbehaving(act) as double:
        with pytest.raises(error):
            await anext(engine.stream(http, spec_of(double), BODY))
