"""The whole system in threads beside a browser: real services, and a coordinator with its dashboard.

In: a folder, a database, a Redis. Out: a Place: its address, its REST, and runs in the states that pages show.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psycopg
from anyio.from_thread import start_blocking_portal

from services.coordinator.dashboard import session
from services.coordinator.key_ring import hash_of
from tests.doubles.official import write_scienceqa
from tests.doubles.stub_trainer import StubTrainer
from tests.doubles.town import KEYS, town

FULL = {"trainings": 2, "evaluation": {"dataset": "heldout"}}
PATIENCE_S = 40.0


@dataclass
class Place:
    """A running system as tests of its pages reach it."""

    url: str
    rest: httpx.Client
    database_url: str
    engine_url: str
    trainer: StubTrainer
    folder: Path  # what the coordinator may read
    seeds: Iterator[int] = field(default_factory=count)
    made: dict[str, str] = field(default_factory=dict)  # finished runs by their first names

    def get(self, path: str) -> Any:
        reply = self.rest.get(path)
        assert reply.is_success, reply.text
        return reply.json()

    def post(self, path: str, body: Any = None) -> Any:
        reply = self.rest.post(path, json=body)
        assert reply.is_success, reply.text
        return reply.json()

    def create(self, name: str, **config: Any) -> str:
        """A run that has not begun, with a seed of its own: it finds no answers of another run."""
        config = {"seed": next(self.seeds), **config}
        return str(self.post("/v1/runs", {"name": name, "dataset": "world", "config": config})["id"])

    def begin(self, name: str, **config: Any) -> str:
        """A run on its way."""
        run_id = self.create(name, **config)
        self.post(f"/v1/runs/{run_id}/iterations", {})
        return run_id

    def wait(self, run_id: str, found: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        ends = time.monotonic() + PATIENCE_S
        while not found(run := self.get(f"/v1/runs/{run_id}")):
            assert time.monotonic() < ends, run
            time.sleep(0.05)
        return dict(run)

    def finished(self, name: str = "a finished run", **more: Any) -> str:
        """A run of two trainings and an exam, at its end; made once."""
        if name not in self.made:
            self.made[name] = self.begin(name, **FULL, **more)
            run = self.wait(self.made[name], lambda run: run["status"] != "running")
            assert run["status"] == "finished", run
        return self.made[name]

    def benchmark(self, name: str) -> str:
        """Five questions of ScienceQA, registered once under this name."""
        if name not in {one["name"] for one in self.get("/v1/benchmarks")["data"]}:
            folder = write_scienceqa(self.folder / name)
            self.post("/v1/benchmarks", {"name": name, "kind": "scienceqa", "path": str(folder)})
        return name

    def measured(self) -> tuple[str, list[str]]:
        """A finished run that names a benchmark, and the evaluations of its students, the newest first."""
        run_id = self.finished("measured", benchmarks=[{"benchmark": self.benchmark("exam")}])
        return run_id, [one["id"] for one in self.get(f"/v1/evaluations?run={run_id}")["data"]]

    def evaluate(self, benchmark: str, **settings: Any) -> str:
        """An evaluation of the teacher, on its way."""
        asked = {"benchmark": benchmark, "model": {"role": "teacher"}, "settings": settings}
        return str(self.post("/v1/evaluations", asked)["id"])

    def tidy(self) -> None:
        """As before a test: the engine is well, and no run goes on or holds the trainer."""
        self.set_faults()
        for run in self.get("/v1/runs")["data"]:
            if run["status"] in {"running", "paused"}:
                self.post(f"/v1/runs/{run['id']}/cancel")

    def set_faults(self, *rules: dict[str, Any]) -> None:
        self.rest.post(f"{self.engine_url}/scripted/faults", json=list(rules)).raise_for_status()

    def change(self, statement: str, **values: Any) -> None:
        """What no REST would do, written into the database."""
        with psycopg.connect(self.database_url) as connection:
            connection.execute(statement, values)

    def cookie(self) -> str:
        """The session of somebody who has shown this machine's key."""
        secret = session.signing_secret(KEYS.internal)
        return session.issue(secret, "api", hash_of(KEYS.api), time.time())


@contextmanager
def running_place(folder: Path, postgres_url: str, redis_url: str, **settings: Any) -> Iterator[Place]:
    """The system with its data sets, until the context ends."""
    opened = partial(town, folder, postgres_url, redis_url, **settings)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opened()) as inside:
        portal.call(inside.register)
        url = str(inside.http.base_url).rstrip("/")
        headers = {"authorization": f"Bearer {KEYS.api}"}
        with httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as rest:
            yield Place(url, rest, postgres_url, inside.engine_url, inside.trainer, inside.folder)
