"""Throughput of a whole assessment under log-normal latency, beside a sliding window over the same engine.

In: `python -m benchmarks.assessment_window --rounds 3`. Out: a JSON file named by the CPU, and a table. The system
assesses a cache pool through an engine with a fixed number of slots; a bare aiohttp window with as many calls as
slots asks an engine of its own for as many answers; and a list schedule of such latencies is computed.
"""

import argparse
import asyncio
import heapq
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx

from benchmarks.hardware import cpu_name
from benchmarks.roles.processes import Processes, told
from benchmarks.system.stack import System, wait_until
from benchmarks.training.turns import spread
from comd.stack.children import Child
from tests.loopback import free_port

QUESTIONS = 3  # of each picture
JUDGEMENTS = 2  # of each question
LIMITS = {"told": "the engine says how many wait", "latency": "by latency alone"}
MIDDLE = (0.1, 0.9)  # shares of the answers between which there is neither ramp nor tail
BODY = {"model": "mock", "messages": [{"role": "user", "content": "what is on the desk?"}]}
LOOK_S = 0.1


class Watched:
    """An engine as it is seen from outside: when it had answered how many calls."""

    def __init__(self, url: str):
        self.url, self.began = url, time.monotonic()
        self.seen: list[tuple[float, int]] = []

    async def watch(self, total: int) -> None:
        """Until it has answered all of them."""
        async with aiohttp.ClientSession() as session:
            while not self.seen or self.seen[-1][1] < total:
                async with session.get(f"{self.url}/seconds") as reply:
                    done = int((await reply.json())["done"])
                self.seen.append((time.monotonic() - self.began, done))
                await asyncio.sleep(LOOK_S)

    def middle_rate(self, total: int) -> float:
        """Answers a second between a tenth and nine tenths."""
        first, last = (next(one for one in self.seen if one[1] >= share * total) for share in MIDDLE)
        return (last[1] - first[1]) / (last[0] - first[0])

    def deciles(self, total: int) -> list[float]:
        """The seconds after which each tenth was answered."""
        wanted = (total * tenth / 10 for tenth in range(1, 11))
        return [round(next(at for at, done in self.seen if done >= number), 2) for number in wanted]


def ideal_s(given: argparse.Namespace, seed: int, total: int) -> float:
    """What a sliding window takes that never loses a moment: each call begins when a slot is free."""
    chance = random.Random(seed)
    free = [0.0] * given.slots
    for _ in range(total):
        latency = given.median / given.faster * chance.lognormvariate(0.0, given.sigma)
        heapq.heappush(free, heapq.heappop(free) + latency)
    return max(free)


async def window(given: argparse.Namespace, url: str, total: int) -> dict[str, Any]:
    """Bare aiohttp: as many calls at once as there are slots, the next as soon as one is answered."""
    watched, numbers = Watched(url), iter(range(total))

    async def ask_on(session: aiohttp.ClientSession) -> None:
        for _ in numbers:
            async with session.post(f"{url}/v1/chat/completions", json=BODY) as reply:
                assert reply.status == 200
                await reply.read()

    watching = asyncio.create_task(watched.watch(total))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(ask_on(session) for _ in range(given.slots)))
    ended = time.monotonic() - watched.began
    await watching
    return {"seconds": ended, "middle_rate": watched.middle_rate(total)}


async def assessment(system: System, run_id: str, url: str, total: int) -> dict[str, Any]:
    """From the end of the training to that of the assessment: students' answers, verdicts, all committed."""
    watched = Watched(url)
    system.proceed()
    watching = asyncio.create_task(watched.watch(total))
    await asyncio.to_thread(system.wait_for, run_id, "selecting")
    ended = time.monotonic() - watched.began
    await watching
    return {"seconds": ended, "middle_rate": watched.middle_rate(total), "deciles_s": watched.deciles(total)}


async def both(
    system: System, run_id: str, urls: dict[str, str], given: argparse.Namespace, total: int
) -> list[dict[str, Any]]:
    """At the same time: nearly all of it is waiting, so that they hardly disturb each other."""
    ours = assessment(system, run_id, urls["judge"], total)
    return list(await asyncio.gather(ours, window(given, urls["window"], total)))


def measured(given: argparse.Namespace, limit: str, seed: int) -> dict[str, Any]:
    """One phase of a system of its own, whose limits are still to be found."""
    total = JUDGEMENTS * QUESTIONS * given.size
    with tempfile.TemporaryDirectory(prefix="comd-window-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres may run as another user
        seeds = {"student": 1000 + seed, "judge": seed, "window": seed}
        urls = {
            who: stack.enter_context(engine(folder, given, who, its, limit == "latency"))
            for who, its in seeds.items()
        }
        teacher = Processes(folder / "log", {})
        at_once = (
            f"http://127.0.0.1:{told(stack.enter_context(teacher).start('benchmarks.roles.mock_engine'))}"
        )
        engines = {"teacher": at_once, "assessor": urls["judge"], "student": urls["student"]}
        system = stack.enter_context(System(folder, engines, given.workers))
        system.register("pictures", range(given.size), QUESTIONS)
        run_id = system.begin(
            "run", "pictures", tau=1.0
        )  # tau 1: nothing is selected, and the run ends there
        system.wait_for_job(run_id)
        ours, bare = asyncio.run(both(system, run_id, urls, given, total))
    return {
        "calls": total,
        "ours_s": round(ours["seconds"], 2),
        "window_s": round(bare["seconds"], 2),
        "ideal_s": round(ideal_s(given, seed, total), 2),
        "whole_over_window": round(bare["seconds"] / ours["seconds"], 4),
        "middle_over_window": round(ours["middle_rate"] / bare["middle_rate"], 4),
        "deciles_s": ours["deciles_s"],
    }


@contextmanager
def engine(folder: Path, given: argparse.Namespace, name: str, seed: int, silent: bool) -> Iterator[str]:
    """A mock engine with so many slots, its latencies drawn by the seed; gives its URL."""
    port = free_port()
    flags = {"port": port, "slots": given.slots, "median": given.median / given.faster, "sigma": given.sigma}
    command = [sys.executable, "-m", "benchmarks.slotted_engine", f"--seed={seed}"]
    command += [f"--{flag}={value}" for flag, value in flags.items()]
    command += ["--silent"] if silent else []
    child = Child(name, command, folder / f"{name}.log")
    child.start()
    try:
        wait_until(lambda: _is_up(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        child.kill()  # it keeps nothing


def _is_up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/seconds", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--size", type=int, default=600, help="pictures, with three questions each")
    parser.add_argument("--slots", type=int, default=32, help="of each engine")
    parser.add_argument("--median", type=float, default=2.0, help="of a call, in seconds")
    parser.add_argument("--sigma", type=float, default=0.8)
    parser.add_argument("--faster", type=float, default=1.0, help="all latencies are divided by this")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {limit: [] for limit in LIMITS}
    for seed in range(given.rounds):
        with ThreadPoolExecutor() as pool:  # systems of their own, which wait nearly all of the time
            measuring = {limit: pool.submit(measured, given, limit, seed) for limit in LIMITS}
        for limit, one in measuring.items():
            found[limit].append(one.result())
            print(limit, found[limit][-1], file=sys.stderr, flush=True)
    about = {"cpu": cpu_name(), "load": round(os.getloadavg()[0], 2), "flags": vars(given)}
    file = Path(__file__).parent / "baselines" / f"assessment_window-{cpu_name()}.json"
    file.write_text(json.dumps({**about, "rounds": found}, indent=1) + "\n")
    print("| limit | whole phase over window | middle over window |\n|---|---|---|")
    for limit, rounds in found.items():
        cells = (shown(rounds, key) for key in ("whole_over_window", "middle_over_window"))
        print(f"| {LIMITS[limit]} | {' | '.join(cells)} |")


def shown(rounds: Sequence[dict[str, Any]], key: str) -> str:
    return "{median:.3f} ({min:.3f} - {max:.3f})".format(**spread([one[key] for one in rounds]))


if __name__ == "__main__":
    main()
