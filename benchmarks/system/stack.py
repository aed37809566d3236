"""The whole system as processes before mock engines, and the CPU time of each.

In: a folder, the engines' URLs by role, settings. Out: a running system, data sets and runs in it, CPU
seconds by process.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx
import psycopg

from benchmarks.roles.asked import MODEL
from benchmarks.system import pictures
from benchmarks.system.cpu import cpu_seconds
from comd.stack.children import Child
from comd.stack.postgres import forget_sockets, postgres_child
from comd.stack.redis import redis_child
from tests.loopback import free_port

ROLES = ("teacher", "assessor")
API_KEY = "api-key-of-the-benchmark"
PATIENCE_S = 3600.0


class System:
    """Postgres, Redis, role services, a trainer without training, coordinator and workers; all end with the block."""

    def __init__(
        self,
        folder: Path,
        engines: Mapping[str, str],
        num_workers: int = 1,
        **settings: Any,
    ):
        self.folder, self.children = folder, dict[str, Child]()
        self._ends = ExitStack()
        self.ports = {name: free_port() for name in (*ROLES, "trainer", "coordinator", "redis")}
        self.environment = {
            "COMD_HOME": str(folder / "home"),
            "COMD_DATA_ROOTS": str(folder),
            "COMD_API_KEY": API_KEY,
            "COMD_INTERNAL_KEY": "internal-key-of-the-benchmark",
        }
        for role in ROLES:
            engine = {"base_url": engines[role], "model": MODEL, "kind": "vllm"}
            self.environment[f"COMD_{role.upper()}_ENGINE"] = json.dumps(engine)
        told = {f"{role}_url": self.url(role) for role in (*ROLES, "trainer")} | settings
        self.environment |= {f"COMD_COORDINATOR_{name.upper()}": str(value) for name, value in told.items()}
        self.engines, self.num_workers = engines, num_workers
        headers = {"authorization": f"Bearer {API_KEY}"}
        self.http = httpx.Client(
            base_url=self.url("coordinator"), headers=headers, timeout=600, trust_env=False
        )

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def __enter__(self) -> Self:
        data = self.folder / "postgres"
        postgres, database = postgres_child(data, self.folder / "postgres.log")
        redis, redis_url = redis_child(self.folder / "redis", self.ports["redis"], self.folder / "redis.log")
        self._ends.callback(forget_sockets, data)
        self.environment |= {"DATABASE_URL": database, "REDIS_URL": redis_url}
        self._start("postgres", postgres)
        self._start("redis", redis)
        self.database = self._ends.enter_context(self._wait(postgres, lambda: _connected(database)))
        for role in ROLES:
            self._run(role, f"services.{role}", "--port", str(self.ports[role]))
        trainer = ("--port", str(self.ports["trainer"]), "--engine", self.engines["student"])
        self._run("trainer", "benchmarks.system.student", *trainer)
        self._run("coordinator", "services.coordinator", "--port", str(self.ports["coordinator"]))
        for number in range(self.num_workers):
            self._run(f"worker {number + 1}", "services.coordinator.worker")
        for name in (*ROLES, "trainer", "coordinator"):
            self._wait(self.children[name], lambda url=f"{self.url(name)}/health": _is_up(url))  # type: ignore[misc]
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        for child in reversed(self.children.values()):
            child.ask_to_stop()
            child.wait_or_kill()
        self._ends.close()

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far by process; Postgres with all of its own."""
        started = {name: child.process for name, child in self.children.items()}
        return {name: cpu_seconds(process.pid) for name, process in started.items() if process}

    def register(self, name: str, numbers: Iterable[int], questions: int) -> None:
        """A data set of pictures with so many questions each."""
        file = pictures.write(self.folder / "data" / name, numbers, questions)
        self._post("/v1/datasets", name=name, path=str(file), images=str(file.parent / "images"))

    def begin(self, name: str, dataset: str, **config: Any) -> str:
        """A run of two trainings, started; its first job waits for `proceed`."""
        run_id = str(self._post("/v1/runs", name=name, dataset=dataset, config=config)["id"])
        self._post(f"/v1/runs/{run_id}/iterations", count=2)
        return run_id

    def proceed(self) -> None:
        """Let the next training end."""
        headers = {"authorization": f"Bearer {API_KEY}"}
        httpx.post(f"{self.url('trainer')}/proceed", headers=headers, trust_env=False).raise_for_status()

    def wait_for(self, run_id: str, *phases: str) -> None:
        """Until the run's newest iteration is in one of the phases, or the run has ended."""

        def there() -> bool:
            row = self.database.execute(
                "SELECT r.status, i.phase, r.reason FROM runs r JOIN iterations i ON i.run_id = r.id "
                "WHERE r.id = %s ORDER BY i.number DESC LIMIT 1",
                [run_id],
            ).fetchone()
            if row and row[0] in {"failed", "paused", "cancelled"}:
                raise RuntimeError(f"the run is {row[0]}: {row[2]}")
            return bool(row) and (row[1] in phases or row[0] != "running")

        wait_until(there, pause_s=0.1)

    def wait_for_job(self, run_id: str) -> None:
        """Until the run's training has been handed in."""
        handed_in = "SELECT count(*) FROM iterations WHERE run_id = %s AND job_id IS NOT NULL"
        wait_until(lambda: self.number(handed_in, run_id), pause_s=0.1)

    def number(self, query: str, *values: Any) -> int:
        """What a query counts."""
        row = self.database.execute(query, values).fetchone()
        return int(row[0]) if row else 0

    def _post(self, route: str, **body: Any) -> dict[str, Any]:
        reply = self.http.post(route, json=body)
        if not reply.is_success:
            raise RuntimeError(f"{route} answered {reply.status_code}: {reply.text[:500]}")
        return dict(reply.json())

    def _run(self, name: str, module: str, *arguments: str) -> None:
        log = self.folder / f"{name}.log"
        self._start(name, Child(name, [sys.executable, "-m", module, *arguments], log, self.environment))

    def _wait(self, child: Child, found: Callable[[], Any]) -> Any:
        """What `found` gives; RuntimeError where the process ends before."""

        def look() -> Any:
            if child.exit_status is not None:
                raise RuntimeError(f"{child.name} ended with {child.exit_status}:\n{child.last_words()}")
            return found()

        return wait_until(look)

    def _start(self, name: str, child: Child) -> None:
        child.start()
        self.children[name] = child


def wait_until(found: Callable[[], Any], pause_s: float = 0.05) -> Any:
    """What `found` gives, once that is something."""
    ends = time.monotonic() + PATIENCE_S
    while not (result := found()):
        if time.monotonic() > ends:
            raise TimeoutError(f"waited for {PATIENCE_S:g} s in vain")
        time.sleep(pause_s)
    return result


def _connected(url: str) -> "psycopg.Connection[Any] | None":
    try:
        return psycopg.connect(url, autocommit=True)
    except psycopg.OperationalError:
        return None


def _is_up(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False
