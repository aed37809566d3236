"""A role service before an engine that misbehaves: its line, its streams, an engine that goes away and comes back."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import orjson
import pytest

from services.teacher.app import TeacherSettings, create_teacher_app
from shared.engine import pooled_client
from shared.keys import Keys
from shared.types import EngineSpec, JsonObject
from tests.doubles import misbehaving_engine as bad
from tests.doubles.misbehaving_engine import completion, misbehaving, reply
from tests.loopback import serving

KEYS = Keys(api="api-key", internal="internal-key")
CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "what is on the desk?"}]
SOUND = reply(completion())


@asynccontextmanager
async def teacher(
    double: bad.Engine, folder: Path, kind: str = "openai"
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of a teacher service before this engine."""
    spec = EngineSpec.model_validate({"base_url": double.url, "model": "m", "kind": kind})
    settings = TeacherSettings(engine=spec, image_store=str(folder), timeout_s=3.0)
    with serving(create_teacher_app(settings, KEYS)) as url:
        async with pooled_client(30.0) as http:
            http.headers["authorization"] = f"Bearer {KEYS.api}"
            http.base_url = httpx.URL(url)
            yield http


async def ask(http: httpx.AsyncClient, **given: object) -> httpx.Response:
    return await http.post(CHAT, json={"model": "any", "messages": MESSAGES, **given})


async def gauge(http: httpx.AsyncClient, name: str, double: bad.Engine, more: str = "") -> float:
    said = (await http.get("/metrics")).text
    found = re.search(
        rf'^{name}{{engine="127.0.0.1:{double.port}",role="teacher"{more}}} (\S+)', said, re.MULTILINE
    )
    assert found, said
    return float(found[1])


async def until(what: str, happened: object, within_s: float = 5.0) -> None:
    """Wait until the function gives something true."""
    ends = time.monotonic() + within_s
    assert callable(happened)
    while not await happened():
        assert time.monotonic() < ends, what
        await asyncio.sleep(0.02)


async def test_tokens_are_counted_as_the_engine_says(tmp_path: Path) -> None:
    used = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    said = reply({**completion(), "usage": used})
    async with misbehaving(said) as double, teacher(double, tmp_path) as http:
        for _ in range(3):
            assert (await ask(http)).status_code == 200
        for kind, number in (("prompt", 27), ("cached", 12), ("completion", 6)):
            assert await gauge(http, "comd_engine_tokens_total", double, f',tokens="{kind}"') == number, kind


async def test_too_many_requests_are_refused_as_a_whole_and_the_others_are_done(tmp_path: Path) -> None:
    async with misbehaving(reply(completion(), after_s=0.3)) as double, teacher(double, tmp_path) as http:
        replies = await asyncio.gather(*(ask(http) for _ in range(60)))
        refused = [one for one in replies if one.status_code == 429]
        done = [one for one in replies if one.status_code == 200]
        assert len(refused) + len(done) == 60
        assert double.chats == len(done) >= 24  # the first limit and the shortest line
        assert {one.json()["error"]["code"] for one in refused} == {"role_busy"}
        assert all(0.05 < float(one.headers["retry-after"]) < 5 for one in refused)
        assert await gauge(http, "comd_engine_busy_total", double) == len(refused)
        seconds = [float(one.headers["x-comd-engine-seconds"]) for one in done]
        assert max(seconds) < 0.6  # the wait in our line is not the engine's


async def test_an_engine_goes_away_and_comes_back(tmp_path: Path) -> None:
    async with misbehaving(SOUND) as double, teacher(double, tmp_path) as http:
        assert (await ask(http)).status_code == 200
        await double.down()
        replies = await asyncio.gather(*(ask(http) for _ in range(5)))
        assert {one.status_code for one in replies} == {503}
        assert f"{double.url} cannot be reached" in replies[0].json()["error"]["message"]
        began = time.monotonic()
        at_once = await ask(http)
        assert (at_once.status_code, time.monotonic() - began < 0.3) == (503, True)
        assert 0 < float(at_once.headers["retry-after"]) <= 5
        assert await gauge(http, "comd_engine_up", double) == 0
        await double.up()

        async def answers() -> bool:
            return (await ask(http)).status_code == 200

        await until("the engine is not found again", answers)
        assert {one.status_code for one in await asyncio.gather(*(ask(http) for _ in range(8)))} == {200}
        assert await gauge(http, "comd_engine_up", double) == 1


def last_event(body: bytes) -> JsonObject:
    found: JsonObject = orjson.loads(body.strip().rsplit(b"data: ", 1)[1])
    return found


async def test_a_stream_that_breaks_ends_with_an_error_and_no_done(tmp_path: Path) -> None:
    act = bad.then_close(bad.events("a ", "lamp", done=False))
    async with misbehaving(act) as double, teacher(double, tmp_path) as http:
        said = await ask(http, stream=True)
        assert said.status_code == 200
        assert b"lamp" in said.content
        assert last_event(said.content)["error"]["code"] == "engine_reply"
        assert b"[DONE]" not in said.content.replace(
            last_event(said.content)["error"]["message"].encode(), b""
        )


async def test_a_stream_that_is_refused_has_that_status(tmp_path: Path) -> None:
    async with misbehaving(reply(b"", 503)) as double, teacher(double, tmp_path) as http:
        assert (await ask(http, stream=True)).status_code == 503


async def flood(writer: asyncio.StreamWriter) -> None:
    """More events than a reader who has stopped reading leaves room for."""
    while True:
        writer.write(b"ffff\r\n" + b":" * 0xFFFF + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize("then", [bad.hang, flood], ids=["the engine pauses", "the client reads too slowly"])
async def test_who_leaves_a_stream_frees_the_place_and_ends_the_call(tmp_path: Path, then: bad.Act) -> None:
    async with (
        misbehaving(bad.events("a ", done=False, then=then)) as double,
        teacher(double, tmp_path) as http,
    ):
        request = http.build_request(
            "POST", CHAT, json={"model": "any", "messages": MESSAGES, "stream": True}
        )
        leaving = await http.send(request, stream=True)
        assert b"a " in await anext(leaving.aiter_raw())
        assert (double.open_chats, await gauge(http, "comd_engine_in_flight", double)) == (1, 1)
        await leaving.aclose()

        async def free() -> bool:
            return double.open_chats == 0 and await gauge(http, "comd_engine_in_flight", double) == 0

        await until("the place is still taken", free, within_s=2.0)  # the engine's deadline is 3 s


@pytest.mark.parametrize(("kind", "waiting"), [("vllm", 11.0), ("openai", -1.0)])
async def test_vllms_own_queue_is_seen_and_followed(tmp_path: Path, kind: str, waiting: float) -> None:
    async with (
        misbehaving(reply(completion(), after_s=0.5)) as double,
        teacher(double, tmp_path, kind) as http,
    ):
        double.metrics = b'vllm:num_requests_waiting{engine="0",model_name="m"} 11.0\n'
        await asyncio.gather(*(ask(http) for _ in range(8)))
        assert await gauge(http, "comd_engine_waiting", double) == waiting
        limit = await gauge(http, "comd_engine_limit", double)
        assert limit < 8 if kind == "vllm" else limit == 8
        state = (await http.get("/v1/engine")).json()
        assert (state["problem"], state["waiting"]) == (None, waiting if kind == "vllm" else None)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_call_that_is_refused_lowers_the_limit_though_a_second_try_is_answered(
    tmp_path: Path, status: int
) -> None:
    busy = reply({"error": {"message": "too many"}}, status)
    async with misbehaving(busy, SOUND) as double, teacher(double, tmp_path) as http:
        assert (await ask(http)).status_code == 200
        assert double.chats == 2
        lowered = await gauge(http, "comd_engine_limit", double)
    async with misbehaving(SOUND) as double, teacher(double, tmp_path) as http:
        assert (await ask(http)).status_code == 200
        assert lowered < await gauge(http, "comd_engine_limit", double)
