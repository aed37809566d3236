"""The system as real processes, with scripted models and a stub trainer: what faults are tried on.

In: a folder and servers. Out: role services that any number of deployments (coordinator and workers) share.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from comd.stack.children import Child
from comd.world import dataset
from tests.loopback import free_port

ROLES = ("teacher", "assessor", "augmentor")
API_KEY = "api-key-of-the-lab"
PATIENCE_S = 60.0


class Lab:
    """Scripted engine, three role services and the stub trainer; leaving the context stops them.

    `timeout_s` is how long they wait for the engine; a trainer with a `trainer_folder` survives being killed.
    """

    def __init__(
        self,
        folder: Path,
        num_pictures: int = 30,
        *,
        timeout_s: float = 60.0,
        trainer_folder: Path | None = None,
        job_steps: int = 0,
    ):
        self.folder, self.timeout_s = folder, timeout_s
        self.trainer_flags = [f"--steps={job_steps}", f"--timeout-s={timeout_s}"]
        if trainer_folder is not None:
            self.trainer_flags.append(f"--folder={trainer_folder}")
        self.ports = {name: free_port() for name in ("engine", *ROLES, "trainer")}
        self.env = {
            "COMD_HOME": str(folder / "home"),
            "COMD_DATA_ROOTS": str(folder),
            "COMD_API_KEY": API_KEY,
            "COMD_INTERNAL_KEY": "internal-key-of-the-lab",
            "OMP_NUM_THREADS": "1",
        }
        self.children: list[Child] = []
        self.clients: list[httpx.Client] = []
        dataset.write(folder / "data", 0, num_pictures, num_heldout_per_kind=2)

    def __enter__(self) -> "Lab":
        self.start("engine", ["-m", "comd.scripted", f"--port={self.ports['engine']}"])
        engine = {"base_url": self.url("engine"), "model": "scripted", "kind": "scripted"}
        for role in ROLES:
            prefix = f"COMD_{role.upper()}"
            told = {f"{prefix}_ENGINE": json.dumps(engine), f"{prefix}_TIMEOUT_S": str(self.timeout_s)}
            self.start(role, ["-m", f"services.{role}", f"--port={self.ports[role]}"], told)
        stub = ["-m", "tests.doubles.stub_trainer", f"--port={self.ports['trainer']}"]
        self.trainer = self.start("trainer", [*stub, "--engine", self.url("engine"), *self.trainer_flags])
        for name in self.ports:
            await_health(self.url(name))
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.close()
        for child in self.children:
            child.ask_to_stop()
        for child in self.children:
            child.wait_or_kill()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def is_healthy(self, name: str) -> bool:
        return is_healthy(self.url(name))

    def start(self, name: str, arguments: list[str], env: dict[str, str] | None = None) -> Child:
        log = self.folder / f"{name}.log"
        child = Child(name, [sys.executable, *arguments], log, {**self.env, **(env or {})})
        child.start()
        self.children.append(child)
        return child

    def set_faults(self, rules: list[dict[str, Any]]) -> None:
        httpx.post(f"{self.url('engine')}/scripted/faults", json=rules).raise_for_status()


@dataclass
class Deployment:
    """A coordinator and its workers on one database."""

    lab: Lab
    name: str
    database_url: str
    redis_url: str
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port = free_port()
        self.num_workers = 0
        urls = {f"{name}_url": self.lab.url(name) for name in (*ROLES, "trainer")}
        values = {"queue_name": f"comd:{self.name}", "port": self.port, **urls, **self.settings}
        env = {f"COMD_COORDINATOR_{key.upper()}": str(value) for key, value in values.items()}
        self.env = {**env, "DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url}
        headers = {"authorization": f"Bearer {API_KEY}"}
        url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False)
        self.lab.clients.append(self.http)

    def start_coordinator(self, port: int | None = None) -> Child:
        """The one that is asked over REST; with a port of its own a second one, which stands by."""
        port = port or self.port
        env = {**self.env, "COMD_COORDINATOR_PORT": str(port)}
        child = self.lab.start(f"coordinator-{self.name}-{port}", ["-m", "services.coordinator"], env)
        await_health(f"http://127.0.0.1:{port}")
        return child

    def start_worker(self, **env: str) -> Child:
        self.num_workers += 1
        name = f"worker-{self.name}-{self.num_workers}"
        return self.lab.start(name, ["-m", "services.coordinator.worker"], {**self.env, **env})

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        reply = self.http.post(path, json=body)
        assert reply.is_success, reply.text
        return dict(reply.json())

    def begin_run(self, **config: Any) -> str:
        """Import the world, create a run and start it."""
        self.import_world(self.lab.folder / "data")
        return self.start_run(**config)

    def import_world(self, data: Path) -> None:
        for name, file, images, purpose in (
            ("world", "instruct.json", "images", "instruct"),
            ("heldout", "heldout.json", "heldout", "evaluation"),
        ):
            asked = {"name": name, "path": str(data / file), "images": str(data / images), "purpose": purpose}
            self.post("/v1/datasets", asked)

    def start_run(self, **config: Any) -> str:
        run = self.post("/v1/runs", {"name": "run", "dataset": "world", "config": config})
        self.post(f"/v1/runs/{run['id']}/iterations", {})
        return str(run["id"])

    def wait_for_end(self, run_id: str) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            try:
                run = dict(self.http.get(f"/v1/runs/{run_id}").json())
            except httpx.HTTPError:
                return None
            return run if run["status"] not in {"created", "running"} else None

        return dict(wait_until(ended))


def is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def await_health(url: str) -> None:
    wait_until(lambda: is_healthy(url))


def wait_until(found: Callable[[], Any]) -> Any:
    """What `found` gives, once that is something."""
    ends = time.monotonic() + PATIENCE_S
    while not (result := found()):
        assert time.monotonic() < ends, "waited too long"
        time.sleep(0.02)
    return result
