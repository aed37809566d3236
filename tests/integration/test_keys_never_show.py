"""Keys are planted in real processes, which then meet success and every error; no output may hold one of them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis

from comd.scripted.app import create_app
from comd.scripted.roles import Behaviour
from tests.doubles.door import Door
from tests.doubles.lab import ROLES, Deployment, Lab, wait_until
from tests.loopback import serving

PLANTED = {
    "COMD_API_KEY": "planted-for-clients-AAAA1111bbbb2222",
    "COMD_INTERNAL_KEY": "planted-between-us-CCCC3333dddd4444",
    "COMD_ENGINE_KEY_GOOD": "planted-good-engine-EEEE5555ffff6666",
    "COMD_ENGINE_KEY_BAD": "planted-bad-engine-GGGG7777hhhh8888",
    "COMD_ASSESSOR_FENCE_SECRET": "planted-fence-IIII9999jjjj0000",
}
PASSWORD = "planted-password-KKKK1111"
SECRETS = {name: value[:16] for name, value in {**PLANTED, "password": PASSWORD}.items()}


class Ear:
    """Remembers whatever anybody said."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self.heard: list[str] = []

    def ask(self, method: str, url: str, key: str = PLANTED["COMD_API_KEY"], **more: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}", **more.pop("headers", {})}
        reply = self._http.request(method, url, headers=headers, **more)
        self.heard.append(f"{method} {reply.status_code} {dict(reply.headers)} {reply.text}")
        return reply

    def run(self, *arguments: str, **env: str) -> None:
        told = {**os.environ, **PLANTED, **env}
        done = subprocess.run(
            [sys.executable, "-m", *arguments], env=told, capture_output=True, text=True, timeout=60
        )
        self.heard.append(f"{arguments} ended with {done.returncode}: {done.stdout} {done.stderr}")


@pytest.fixture
def door() -> Door:
    return Door(create_app(Behaviour()), key=PLANTED["COMD_ENGINE_KEY_GOOD"], echoes=True)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path, num_pictures=6)
    lab.env.update(PLANTED)
    with lab:
        yield lab


def test_no_key_shows_anywhere(lab: Lab, door: Door, postgres_url: str, redis_url: str) -> None:
    deployment = Deployment(lab, "keys", postgres_url, redis_url, {"lease_s": 2, "tick_s": 0.05})
    deployment.http.headers["authorization"] = f"Bearer {PLANTED['COMD_API_KEY']}"
    deployment.start_coordinator()
    deployment.start_worker()
    alone = httpx.Limits(max_keepalive_connections=0)  # no request meets a connection that is just closed
    with serving(door) as url, httpx.Client(limits=alone, timeout=60, trust_env=False) as http:
        ear = Ear(http)
        drive_run(ear, deployment, door, url)
        for role in ROLES:
            drive_role(ear, lab.url(role), url)
        drive_settings(ear)
    found = [*ear.heard, *logs(lab), *stored(postgres_url), *queued(redis_url)]
    assert len(ear.heard) > 50
    showing = {(name, text[:600]) for text in found for name, secret in SECRETS.items() if secret in text}
    assert not showing
    assert any("***" in text for text in ear.heard)


def drive_run(ear: Ear, deployment: Deployment, door: Door, url: str) -> None:
    """A run whose teacher refuses in the middle, repeating the key that it was given."""
    run_id = deployment.begin_run(trainings=1)
    path = f"{deployment.http.base_url}/v1/runs/{run_id}"
    spec = {"base_url": url, "model": "scripted", "kind": "scripted"}
    for change, status in (
        ({**spec, "key_name": "COMD_ENGINE_KEY_BAD"}, 422),
        ({**spec, "key_name": PLANTED["COMD_ENGINE_KEY_BAD"]}, 422),
        ({**spec, "base_url": f"http://user:{PASSWORD}@127.0.0.1:1"}, 422),
        ({**spec, "base_url": f"http://{PASSWORD}@127.0.0.1:1"}, 422),
        ({**spec, "api_key": PLANTED["COMD_ENGINE_KEY_BAD"]}, 422),
        ({**spec, "key_name": "COMD_ENGINE_KEY_GOOD"}, 200),
    ):
        reply = ear.ask("PATCH", path, json={"endpoints": {"teacher": change}})
        assert reply.status_code in {status, 409}, reply.text
    ended = deployment.wait_for_end(run_id)
    assert ended["status"] == "finished"
    second = deployment.post("/v1/runs", {"name": "two", "dataset": "world", "config": {"seed": 7}})
    path = f"{deployment.http.base_url}/v1/runs/{second['id']}"
    good = {**spec, "key_name": "COMD_ENGINE_KEY_GOOD", "revision": "two"}
    assert ear.ask("PATCH", path, json={"endpoints": {"teacher": good}}).status_code == 200
    door.key = "another-now"
    ear.ask("POST", f"{path}/iterations", json={"count": 1})
    waiting = wait_until(lambda: ear.ask("GET", path).json()["progress"].get("waiting"))
    assert "***" in waiting
    door.key = PLANTED["COMD_ENGINE_KEY_GOOD"]
    wait_until(lambda: ear.ask("GET", path).json()["status"] == "finished")
    for more in ("", "/iterations", "/report", "/pools/cache", "/pools/cache/export", "/events", "/nowhere"):
        ear.ask("GET", path + more)
    drive_frame(ear, str(deployment.http.base_url))


def drive_role(ear: Ear, role: str, url: str) -> None:
    """Every route of a role service, with engines that refuse, lie or are not there."""
    internal = PLANTED["COMD_INTERNAL_KEY"]
    picture = {"type": "image_url", "image_url": {"url": f"http://user:{PASSWORD}@host/a.png"}}
    bodies: list[Any] = [
        {"messages": [{"role": "user", "content": "hi"}]},
        {"messages": [{"role": "user", "content": "hi"}], "stream": True},
        {"messages": [{"role": "user", "content": [picture]}]},
        {"wrong": 1},
    ]
    for engine in (
        {"base_url": url, "model": "scripted", "key_name": "COMD_ENGINE_KEY_BAD"},
        {"base_url": url, "model": "scripted", "key_name": "COMD_ENGINE_KEY_GOOD"},
        {"base_url": url, "model": "scripted", "key_name": "COMD_ENGINE_KEY_NONE"},
        {"base_url": "http://127.0.0.1:9", "model": "m", "key_name": "COMD_ENGINE_KEY_GOOD"},
        {"base_url": f"http://user:{PASSWORD}@127.0.0.1:9", "model": "m"},
        {"base_url": url, "model": "m", "key_name": PLANTED["COMD_ENGINE_KEY_BAD"]},
    ):
        headers = {"x-comd-engine": json.dumps(engine)}
        for path in ("/v1/identity", "/v1/models"):
            ear.ask("GET", role + path, internal, headers=headers)
        for body in bodies[: 4 if engine["base_url"] == url else 1]:
            ear.ask("POST", f"{role}/v1/chat/completions", internal, headers=headers, json=body)
    drive_frame(ear, role)


def drive_frame(ear: Ear, service: str) -> None:
    """What all services have, with right and wrong keys."""
    for path in ("/health", "/ready", "/metrics", "/docs", "/openapi.json", "/nowhere"):
        ear.ask("GET", service + path)
    ear.ask("GET", f"{service}/v1/models", PLANTED["COMD_ENGINE_KEY_BAD"])
    ear.ask("POST", f"{service}/v1/chat/completions", content=b"{")
    ear.ask("DELETE", f"{service}/health")


def drive_settings(ear: Ear) -> None:
    """Processes that only show their settings, or cannot start with them."""
    database = f"postgresql://comd:{PASSWORD}@127.0.0.1:9/none"
    for service in ("assessor", "coordinator.worker"):
        ear.run(f"services.{service}", "--dry-run", DATABASE_URL=database)
    ear.run("services.teacher", "--port=none")
    ear.run("services.coordinator", DATABASE_URL=database)
    ear.run("services.teacher", COMD_TEACHER_ENGINE=f'{{"base_url": "http://a:{PASSWORD}@h", "model": "m"}}')
    ear.run("services.teacher", COMD_TEACHER_API_KEY=PASSWORD)
    ear.run("services.coordinator", "--dry-run", COMD_COORDINATOR_TEACHER_URL=f"http://a:{PASSWORD}@h")
    ear.run("comd", "run", "list", COMD_URL="http://127.0.0.1:9")


def logs(lab: Lab) -> Iterator[str]:
    for file in sorted(lab.folder.glob("*.log")):
        yield f"{file.name}: {file.read_text(errors='replace')}"


def stored(database_url: str) -> Iterator[str]:
    with psycopg.connect(database_url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert len(tables) > 10
        for (table,) in tables:
            for (row,) in connection.execute(f'SELECT t::text FROM "{table}" t').fetchall():  # type: ignore[call-overload]
                yield f"{table}: {row}"


def queued(redis_url: str) -> Iterator[str]:
    with redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter():
            yield f"{key!r}: {client.dump(key)!r}"
            if client.type(key) == b"stream":
                yield f"{key!r}: {client.xrange(key)!r}"
