"""CPU milliseconds that a role service adds to a call, beside what the call costs clients without one.

In: `python -m benchmarks.role_overhead`. Out: a JSON file named by the CPU, and a table in Markdown. All call the
same mock engine, 32 at once, in turns; each process's CPU time is counted apart.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.environments import python_with
from benchmarks.hardware import cpu_name
from benchmarks.roles import asked
from benchmarks.roles.processes import Processes, cpu_seconds, told, wait_until_ready
from benchmarks.training.turns import spread
from shared.images import ImageStore
from tests.loopback import free_port

BASELINES = Path(__file__).parent / "baselines"
MODES = ("text", "image")
PEERS = {
    "http2": ["h2==4.4.1"],
    "distilabel": ["distilabel[openai]==1.5.3", "requests"],
}
BARE = "aiohttp"
CHAT = "/v1/chat/completions"
DIRECT = {
    BARE: "bare_aiohttp",
    "aiohttp, orjson": "aiohttp_orjson",
    "httpx": "bare_httpx",
    "httpx over aiohttp": "httpx_over_aiohttp",
    "openai": "openai",
}

Process = subprocess.Popen[str]


@dataclass
class Row:
    """One client, with the service that it calls where there is one. `engine_calls` are those of one call."""

    name: str
    client: Process
    service: Process | None = None
    engine_calls: int = 1
    ms: dict[str, list[float]] = field(default_factory=lambda: {mode: [] for mode in MODES})
    caller_ms: dict[str, list[float]] = field(default_factory=lambda: {mode: [] for mode in MODES})

    def turn(self, mode: str, count: int, counted: bool = True) -> None:
        """`count` calls of the engine; what is counted is the service's time, or the client's where there is none."""
        watched = [self.service or self.client, self.client]
        before = [cpu_seconds(process) for process in watched]
        assert told(self.client, f"{mode} {count // self.engine_calls}") == "done"
        used = [cpu_seconds(process) - was for process, was in zip(watched, before, strict=True)]
        if counted:
            for times, seconds in zip((self.ms, self.caller_ms), used, strict=True):
                times[mode].append(1000 * seconds / count)


def rows(processes: Processes, folder: Path, peers: Path) -> Iterator[Row]:
    """All that are compared; peers that cannot be had are named on stdout and left out."""
    store = ImageStore(str(folder / "images"))
    files = {}
    for name, bodies in asked.bodies(store).items():
        files[name] = folder / f"{name}.json"
        files[name].write_text(json.dumps(bodies))
    engine = f"http://127.0.0.1:{told(processes.start('benchmarks.roles.mock_engine'))}"
    for name, client in DIRECT.items():
        yield Row(name, started(processes, client, engine + CHAT, files["engine"]))
    yield from peer_rows(processes, peers, engine, files["engine"])
    for role, path, calls in (("teacher", CHAT, 1), ("assessor", "/v1/assessments", 2)):
        url, service = role_service(processes, role, engine, store.url)
        client = started(processes, "bare_aiohttp", url + path, files[role])
        yield Row(f"{role} service", client, service, calls)


def peer_rows(processes: Processes, folder: Path, engine: str, bodies: Path) -> Iterator[Row]:
    if python := peer(folder, "http2"):
        port = told(processes.start("benchmarks.roles.http2_engine", python=python))
        url = f"http://127.0.0.1:{port}{CHAT}"
        yield Row("httpx, HTTP/2", started(processes, "httpx_http2", url, bodies, python))
    if python := peer(folder, "distilabel"):
        yield Row("distilabel", started(processes, "distilabel", engine + CHAT, bodies, python))


def peer(folder: Path, name: str) -> Path | None:
    python = python_with(folder / name, PEERS[name])
    if isinstance(python, Path):
        return python
    print(f"without {name}: {python}", flush=True)
    return None


def started(processes: Processes, name: str, url: str, bodies: Path, python: Path | None = None) -> Process:
    """A client that is ready to be told."""
    module = "benchmarks.roles.distilabel_client" if name == "distilabel" else "benchmarks.roles.client"
    process = processes.start(module, name, url, str(bodies), python=python)
    assert told(process) == "ready"
    assert told(process, "text 1") == "done"  # else 32 calls may meet a connection that is being made
    return process


def role_service(processes: Processes, role: str, engine: str, image_store: str) -> tuple[str, Process]:
    """The service as users start it, with the mock as its engine of kind vllm."""
    port = free_port()
    prefix = f"COMD_{role.upper()}_"
    settings = {"PORT": str(port), "IMAGE_STORE": image_store}
    settings |= {"ENGINE__BASE_URL": engine, "ENGINE__MODEL": asked.MODEL, "ENGINE__KIND": "vllm"}
    processes.environment.update({prefix + name: value for name, value in settings.items()})
    process = processes.start(f"services.{role}")
    wait_until_ready(f"http://127.0.0.1:{port}")
    return f"http://127.0.0.1:{port}", process


def measure(compared: Sequence[Row], rounds: int, count: int) -> None:
    """Every row in turn, each round in the opposite order; a first round of half the calls is not counted."""
    for number in range(rounds + 1):
        for row in compared if number % 2 else compared[::-1]:
            for mode in MODES:
                row.turn(mode, count if number else count // 2, counted=number > 0)


def summary(compared: Sequence[Row]) -> dict[str, Any]:
    """By row and mode: milliseconds, and the ratio to bare aiohttp of the same round."""
    bare = next(row for row in compared if row.name == BARE)
    return {
        row.name: {
            mode: {
                "ms": spread(row.ms[mode]),
                "caller_ms": spread(row.caller_ms[mode]) if row.service else None,
                "over_aiohttp": spread([a / b for a, b in zip(row.ms[mode], bare.ms[mode], strict=True)]),
            }
            for mode in MODES
        }
        for row in compared
    }


def markdown(results: dict[str, Any]) -> str:
    lines = [f"| | text, ms | image, ms | text, over {BARE} | image, over {BARE} | its caller, ms |"]
    lines.append("|---|---|---|---|---|---|")
    for name, by_mode in results.items():
        quoted = [shown(by_mode[mode][key]) for key in ("ms", "over_aiohttp") for mode in MODES]
        callers = [by_mode[mode]["caller_ms"] for mode in MODES]
        caller = " / ".join(f"{one['median']:.2f}" for one in callers if one)
        lines.append(f"| {name} | {' | '.join(quoted)} | {caller} |")
    return "\n".join(lines)


def shown(one: dict[str, float]) -> str:
    return "{median:.2f} ({min:.2f} - {max:.2f})".format(**one)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=192, help="of the engine, in a turn")
    parser.add_argument("--peers", type=Path, default=Path("runs/bench-roles"), help="their environments")
    options = parser.parse_args()
    began = time.perf_counter()
    keys = {"COMD_API_KEY": "benchmark", "COMD_INTERNAL_KEY": "benchmark-internal"}
    with tempfile.TemporaryDirectory(prefix="comd-overhead-") as name:
        folder = Path(name)
        with Processes(folder / "log", keys) as processes:
            compared = list(rows(processes, folder, options.peers.absolute()))
            measure(compared, options.rounds, options.calls)
    results = summary(compared)
    about = {"cpu": cpu_name(), "cores": os.cpu_count(), "rounds": options.rounds, "calls": options.calls}
    picture_bytes = median(len(asked.picture(number)) for number in range(asked.BODIES))
    report = {**about, "at_once": 32, "picture_bytes": picture_bytes, "clients": results}
    (BASELINES / f"role_overhead-{cpu_name()}.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"{time.perf_counter() - began:.0f} s\n{markdown(results)}")


if __name__ == "__main__":
    main()
