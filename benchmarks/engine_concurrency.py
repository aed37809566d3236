"""The adaptive limit in earnest: a teacher service before a mock engine that queues beyond its slots.

In: nothing, or flags. Out: the share of the slots' time that was used, before and after their number is halved in
mid-run, beside fixed limits at engines of their own; a baseline named by this machine.
"""

import argparse
import asyncio
import contextlib
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson

from benchmarks.hardware import cpu_name
from shared.engine import pooled_client
from shared.keys import load_keys
from tests.loopback import free_port

FIXED = (8, 256)
BODY = {"model": "mock", "messages": [{"role": "user", "content": "what is on the desk?"}]}

Chat = Callable[[], Awaitable[None]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=160.0, help="of each of the two halves")
    parser.add_argument(
        "--found-by", type=float, default=40.0, help="seconds of a half that do not count as steady"
    )
    parser.add_argument("--median", type=float, default=2.0, help="of a call, in seconds")
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--clients", type=int, default=256)
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COMD_HOME"] = folder
        result = {
            "flags": {k: v for k, v in vars(given).items() if k != "out"},
            **asyncio.run(measure(given)),
        }
    print_table(result)
    out = given.out or Path(f"benchmarks/baselines/engine_concurrency-{cpu_name()}.json")
    out.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2) + b"\n")


async def measure(given: argparse.Namespace) -> dict[str, Any]:
    """All ways at once: the calls sleep nearly all of the time, so that they do not disturb each other."""
    adaptive, *fixed = await asyncio.gather(adaptive_limit(given), *(fixed_limit(given, n) for n in FIXED))
    return {"adaptive": adaptive, "fixed": dict(zip(map(str, FIXED), fixed, strict=True))}


async def adaptive_limit(given: argparse.Namespace) -> dict[str, Any]:
    """Clients, the teacher service, the engine: three processes."""
    key, refused, limits = load_keys().internal, [0], list[int]()
    with engine_process(given) as engine_url, teacher_process(engine_url) as url:
        async with client(f"Bearer {key}") as http:
            await until_up(http, f"{url}/ready")

            async def chat() -> None:
                reply = await http.post(f"{url}/v1/chat/completions", json=BODY)
                if reply.status_code == 429:
                    refused[0] += 1
                    await asyncio.sleep(float(reply.headers["retry-after"]) * random.uniform(1.0, 1.5))
                else:
                    reply.raise_for_status()

            watching = asyncio.create_task(watch_limit(http, url, limits))
            halves = await run(given, http, engine_url, chat, given.clients)
            watching.cancel()
    return {**halves, "refused": refused[0], "limit_each_second": limits}


async def fixed_limit(given: argparse.Namespace, limit: int) -> dict[str, Any]:
    """As many clients as the limit, straight at an engine."""
    with engine_process(given) as engine_url:
        async with client("none") as http:
            await until_up(http, f"{engine_url}/v1/models")

            async def chat() -> None:
                (await http.post(f"{engine_url}/v1/chat/completions", json=BODY)).raise_for_status()

            return await run(given, http, engine_url, chat, limit)


async def run(
    given: argparse.Namespace, http: httpx.AsyncClient, engine_url: str, chat: Chat, clients: int
) -> dict[str, Any]:
    """Both halves; each client asks again as soon as it has its answer."""

    async def ask_on() -> None:
        while True:
            await chat()

    asking = [asyncio.create_task(ask_on()) for _ in range(clients)]
    before = await half(given, http, engine_url, given.slots)
    after = await half(given, http, engine_url, given.slots // 2)
    for task in asking:
        if task.done():
            task.result()  # a client that failed fails the benchmark
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    return {"before": before, "after_halving": after}


async def half(
    given: argparse.Namespace, http: httpx.AsyncClient, engine_url: str, slots: int
) -> dict[str, Any]:
    """So many seconds with so many slots."""
    start = (await http.post(f"{engine_url}/slots", json={"slots": slots})).json()
    await asyncio.sleep(given.found_by)
    steady = (await http.get(f"{engine_url}/seconds")).json()
    await asyncio.sleep(given.seconds - given.found_by)
    end = (await http.get(f"{engine_url}/seconds")).json()
    return {"slots": slots, "all": between(start, end, slots), "steady": between(steady, end, slots)}


def between(start: dict[str, float], end: dict[str, float], slots: int) -> dict[str, float]:
    """Shares over a stretch of time; the calls that ran as slots were halved may run on, beyond 1."""
    seconds = end["at"] - start["at"]
    return {
        "used": round((end["busy_s"] - start["busy_s"]) / (slots * seconds), 4),
        "waiting_in_engine": round((end["waiting_s"] - start["waiting_s"]) / seconds, 2),
        "calls_a_second": round((end["done"] - start["done"]) / seconds, 3),
    }


async def watch_limit(http: httpx.AsyncClient, url: str, limits: list[int]) -> None:
    while True:
        metrics = (await http.get(f"{url}/metrics")).text
        if found := re.search(r"^comd_engine_limit\{.*\} (\S+)", metrics, re.MULTILINE):
            limits.append(int(float(found[1])))
        await asyncio.sleep(1.0)


@asynccontextmanager
async def client(authorization: str) -> AsyncIterator[httpx.AsyncClient]:
    async with pooled_client(600.0) as http:
        http.headers["authorization"] = authorization
        yield http


async def until_up(http: httpx.AsyncClient, url: str) -> None:
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        with contextlib.suppress(httpx.HTTPError):
            if (await http.get(url)).is_success:
                return
        await asyncio.sleep(0.1)
    raise SystemExit(f"{url} did not answer within 30 s")


@contextmanager
def process(module: str, *flags: str) -> Iterator[None]:
    child = subprocess.Popen(
        [sys.executable, "-m", module, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        child.kill()  # it keeps nothing
        child.wait()


@contextmanager
def engine_process(given: argparse.Namespace) -> Iterator[str]:
    port = free_port()
    flags = ["--port", str(port), "--slots", str(given.slots), "--median", str(given.median)]
    with process("benchmarks.slotted_engine", *flags):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def teacher_process(engine_url: str) -> Iterator[str]:
    port = free_port()
    flags = ["--port", str(port), "--engine.base-url", engine_url, "--engine.model", "mock"]
    with process("services.teacher", *flags, "--engine.kind", "openai"):
        yield f"http://127.0.0.1:{port}"


def print_table(result: dict[str, Any]) -> None:
    print("| limit | slots | used, in all | used, steady | waiting in the engine, steady | calls/s, steady |")
    print("|---|---|---|---|---|---|")
    for name, halves in [("adaptive", result["adaptive"]), *result["fixed"].items()]:
        for one in (halves["before"], halves["after_halving"]):
            steady = one["steady"]
            row = [name, one["slots"], one["all"]["used"], steady["used"], steady["waiting_in_engine"]]
            print("|", " | ".join(map(str, [*row, steady["calls_a_second"]])), "|")
    print("limit each 10 s:", *result["adaptive"]["limit_each_second"][::10])


if __name__ == "__main__":
    main()
