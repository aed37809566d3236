"""All that take part in a comparison of calls: clients of the mock engine, and role services with their callers.

In: a folder for pictures and bodies, one for the peers' environments. Out: rows, each of which can take a turn.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.environments import python_with
from benchmarks.roles import asked
from benchmarks.roles.processes import Process, Processes, cpu_seconds, told, wait_until_ready
from shared.images import ImageStore
from tests.loopback import free_port

MODES = ("text", "image")
BARE = "aiohttp"
CHAT = "/v1/chat/completions"
DIRECT = {
    BARE: "bare_aiohttp",
    "aiohttp, orjson": "aiohttp_orjson",
    "httpx": "bare_httpx",
    "httpx over aiohttp": "httpx_over_aiohttp",
    "openai": "openai",
}
PEERS = {
    "http2": ["h2==4.4.1"],
    "distilabel": ["distilabel[openai]==1.5.3", "requests"],
}


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


@dataclass(frozen=True)
class World:
    """The mock engine's URL, the pictures, and by interface the file of what is asked."""

    processes: Processes
    engine: str
    image_store: str
    bodies: dict[str, Path]


def world(processes: Processes, folder: Path) -> World:
    store = ImageStore(str(folder / "images"))
    files = {}
    for name, bodies in asked.bodies(store).items():
        files[name] = folder / f"{name}.json"
        files[name].write_text(json.dumps(bodies))
    port = told(processes.start("benchmarks.roles.mock_engine"))
    return World(processes, f"http://127.0.0.1:{port}", store.url, files)


def direct_rows(here: World) -> Iterator[Row]:
    for name, client in DIRECT.items():
        yield Row(name, started(here, client, here.engine + CHAT, "engine"))


def peer_rows(here: World, folder: Path) -> Iterator[Row]:
    """Clients whose packages are not ours; those that cannot be had are named on stdout and left out."""
    if python := peer(folder, "http2"):
        port = told(here.processes.start("benchmarks.roles.http2_engine", python=python))
        url = f"http://127.0.0.1:{port}{CHAT}"
        yield Row("httpx, HTTP/2", started(here, "httpx_http2", url, "engine", python))
    if python := peer(folder, "distilabel"):
        yield Row("distilabel", started(here, "distilabel", here.engine + CHAT, "engine", python))


def teacher_row(here: World) -> Row:
    url, service = role_service(here, "teacher")
    return Row("teacher service", started(here, DIRECT[BARE], url + CHAT, "teacher"), service)


def assessor_row(here: World) -> Row:
    """An assessment makes two calls of the engine."""
    url, service = role_service(here, "assessor")
    caller = started(here, DIRECT[BARE], f"{url}/v1/assessments", "assessor")
    return Row("assessor service", caller, service, engine_calls=2)


def peer(folder: Path, name: str) -> Path | None:
    python = python_with(folder / name, PEERS[name])
    if isinstance(python, Path):
        return python
    print(f"without {name}: {python}", flush=True)
    return None


def started(here: World, name: str, url: str, interface: str, python: Path | None = None) -> Process:
    """A client that is ready to be told."""
    module = "benchmarks.roles.distilabel_client" if name == "distilabel" else "benchmarks.roles.client"
    process = here.processes.start(module, name, url, str(here.bodies[interface]), python=python)
    assert told(process) == "ready"
    assert told(process, "text 1") == "done"  # else 32 calls may meet a connection that is being made
    return process


def role_service(here: World, role: str) -> tuple[str, Process]:
    """The service as users start it, with the mock as its engine of kind vllm."""
    port = free_port()
    settings = {"PORT": str(port), "IMAGE_STORE": here.image_store}
    settings |= {"ENGINE__BASE_URL": here.engine, "ENGINE__MODEL": asked.MODEL, "ENGINE__KIND": "vllm"}
    prefix = f"COMD_{role.upper()}_"
    here.processes.environment.update({prefix + name: value for name, value in settings.items()})
    process = here.processes.start(f"services.{role}")
    wait_until_ready(f"http://127.0.0.1:{port}")
    return f"http://127.0.0.1:{port}", process
