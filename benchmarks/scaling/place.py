"""The processes that a scale is measured on. In: a folder. Out: Postgres, Redis, trainer, coordinator, workers and,
where they are asked for, role services before engines that answer at once.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg

from benchmarks.scaling.engine import MODEL
from comd.stack.children import Child
from comd.stack.postgres import forget_sockets, postgres_child
from comd.stack.redis import redis_child
from services.coordinator.migrate import migrate
from tests.doubles.lab import await_health
from tests.loopback import free_port

ROLES = ("teacher", "assessor", "augmentor")
KEY = "key-of-the-benchmark"
STARTS_WITHIN_S = 60.0


class Place:
    """Leaving the context stops everything."""

    def __init__(self, folder: Path, num_workers: int):
        folder.chmod(0o755)  # Postgres may run as another user
        self.folder, self.num_workers = folder, num_workers
        self.ports = {name: free_port() for name in (*ROLES, "redis", "trainer", "coordinator")}
        self.children: dict[str, Child] = {}
        self.engine: subprocess.Popen[str] | None = None
        self.env = {
            "COMD_HOME": str(folder / "home"),
            "COMD_DATA_ROOTS": str(folder),
            "COMD_API_KEY": KEY,
            "COMD_INTERNAL_KEY": f"internal-{KEY}",
        }
        headers = {"authorization": f"Bearer {KEY}"}
        url = f"http://127.0.0.1:{self.ports['coordinator']}"
        self.http = httpx.Client(base_url=url, headers=headers, timeout=None, trust_env=False)

    def __enter__(self) -> "Place":
        postgres, self.database_url = postgres_child(self.folder / "postgres", self.folder / "postgres.log")
        redis, redis_url = redis_child(self.folder / "redis", self.ports["redis"], self.folder / "redis.log")
        for child in (postgres, redis):
            child.start()
            self.children[child.name] = child
        self._await_postgres()
        migrate(self.database_url)
        self.start("trainer", ["-m", "benchmarks.scaling.trainer", f"--port={self.ports['trainer']}"])
        trainer = f"http://127.0.0.1:{self.ports['trainer']}"
        urls = {f"COMD_COORDINATOR_{role.upper()}_URL": f"{trainer}/{role}" for role in ROLES}
        self.env |= {"DATABASE_URL": self.database_url, "REDIS_URL": redis_url, **urls}
        self.env["COMD_COORDINATOR_TRAINER_URL"] = trainer
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        if self.engine is not None:
            self.engine.terminate()
            self.engine.wait()
        for child in reversed(self.children.values()):
            child.ask_to_stop()
            child.wait_or_kill()
        forget_sockets(self.folder / "postgres")

    def start_roles(self) -> None:
        """Role services, each before an engine of its own."""
        command = [sys.executable, "-m", "benchmarks.scaling.engine"]
        self.engine = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.engine.stdout is not None, "it was asked for"
        for role, port in zip(ROLES, self.engine.stdout.readline().split(), strict=True):
            spec = {
                "base_url": f"http://127.0.0.1:{port}",
                "model": MODEL,
                "kind": "openai",
                "json_schema": False,
            }
            self.env[f"COMD_{role.upper()}_ENGINE"] = json.dumps(spec)
            self.start(role, ["-m", f"services.{role}", f"--port={self.ports[role]}"])
            self.env[f"COMD_COORDINATOR_{role.upper()}_URL"] = f"http://127.0.0.1:{self.ports[role]}"
            await_health(f"http://127.0.0.1:{self.ports[role]}")

    def start_coordinator(self) -> None:
        self.start("coordinator", ["-m", "services.coordinator", f"--port={self.ports['coordinator']}"])
        await_health(str(self.http.base_url))

    def start_workers(self, module: str) -> None:
        for number in range(self.num_workers):
            self.start(f"worker {number + 1}", ["-m", module])

    def start(self, name: str, arguments: list[str]) -> None:
        child = Child(name, [sys.executable, *arguments], self.folder / f"{name}.log", self.env)
        child.start()
        self.children[name] = child

    def pids(self) -> dict[str, int]:
        return {name: child.process.pid for name, child in self.children.items() if child.process}

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        reply = self.http.post(path, json=body)
        assert reply.is_success, reply.text
        return dict(reply.json())

    def wait_for(self, run_id: str, number: int) -> dict[str, Any]:
        """The iteration, once the next has begun; the run is ended there."""
        while (run := self.http.get(f"/v1/runs/{run_id}").json())["iteration"] <= number:
            for name, child in self.children.items():
                assert child.exit_status is None, f"{name}: {child.last_words()}"
            assert run["status"] == "running", run
            time.sleep(0.2)
        self.post(f"/v1/runs/{run_id}/cancel", {})
        return dict(self.http.get(f"/v1/runs/{run_id}/iterations/{number}").json())

    def _await_postgres(self) -> None:
        ends = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                psycopg.connect(self.database_url).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < ends, self.children["postgres"].last_words()
                time.sleep(0.1)
