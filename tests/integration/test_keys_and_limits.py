"""Who gets in, with which scope, how often, and with how long a body: over real HTTP against a real database."""

import asyncio
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from typer.testing import CliRunner

from comd.cli import app
from services.assessor.app import AssessorSettings, create_assessor_app
from services.augmentor.app import AugmentorSettings, create_augmentor_app
from services.coordinator.app import create_coordinator_app
from services.coordinator.database import connect
from services.coordinator.key_ring import KEPT_S, KeyRing, hash_of, new_key
from services.coordinator.repositories import api_keys
from services.coordinator.repositories.rows import execute
from services.coordinator.settings import CoordinatorSettings
from services.teacher.app import TeacherSettings, create_teacher_app
from services.trainer.app import app_of
from services.trainer.settings import TrainerSettings
from services.trainer.trainer import Trainer
from shared.errors import EngineUnavailable
from shared.masking import mask
from shared.scopes import Caller
from tests.doubles.town import KEYS
from tests.integration.builders import RUN, make_run
from tests.loopback import serving

OPEN = {"/health", "/ready"}
JSON = "application/json"
HTTP = httpx.Client(timeout=20, trust_env=False)
SCOPES = ("read", "run", "admin")


@pytest.fixture(autouse=True, scope="module")
def close_client() -> Iterator[None]:
    yield
    HTTP.close()


@pytest.fixture
def settings(tmp_path: Path, postgres_url: str, redis_url: str) -> CoordinatorSettings:
    return CoordinatorSettings(
        database_url=postgres_url, redis_url=redis_url, image_store=str(tmp_path), data_roots=(tmp_path,)
    )


@pytest.fixture
def url(settings: CoordinatorSettings) -> Iterator[str]:
    with serving(create_coordinator_app(settings, KEYS)) as url:
        yield url


def ask(url: str, path: str, key: str | None = KEYS.api, method: str = "GET", **more: Any) -> httpx.Response:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    headers |= more.pop("headers", {})
    return HTTP.request(method, url + path, headers=headers, **more)


def make_key(url: str, name: str, scope: str) -> str:
    made = ask(url, "/v1/keys", method="POST", json={"name": name, "scope": scope})
    assert made.status_code == 201, made.text
    return str(made.json()["key"])


def every_route(url: str) -> Iterator[tuple[str, str, list[str]]]:
    """Method, path and scopes of all that the service says it has, and of what frameworks add by themselves."""
    for path, operations in ask(url, "/openapi.json").json()["paths"].items():
        for method, operation in operations.items():
            scopes = [scope for need in operation.get("security", ()) for scope in need["bearer"]]
            yield method.upper(), re.sub(r"{\w+}", "1", path), scopes
    for path in ("/docs", "/redoc", "/openapi.json", "/metrics", "/", "/nowhere", "/v1/chat/completions"):
        yield "GET", path, ["read"]


def services(tmp_path: Path, settings: CoordinatorSettings) -> dict[str, Any]:
    told: dict[str, Any] = {"image_store": str(tmp_path)}
    trainer = Trainer(TrainerSettings(image_store=str(tmp_path)), tmp_path / "trainer")
    return {
        "coordinator": create_coordinator_app(settings, KEYS),
        "teacher": create_teacher_app(TeacherSettings(**told), KEYS),
        "assessor": create_assessor_app(AssessorSettings(**told), KEYS),
        "augmentor": create_augmentor_app(AugmentorSettings(**told), KEYS),
        "trainer": app_of(trainer, KEYS),
    }


@pytest.mark.parametrize("name", ["coordinator", "teacher", "assessor", "augmentor", "trainer"])
def test_no_route_of_any_service_is_open_but_health_and_ready(
    name: str, tmp_path: Path, settings: CoordinatorSettings
) -> None:
    with serving(services(tmp_path, settings)[name]) as url:
        for method, path, scopes in every_route(url):
            for key in [None] if path in OPEN else (None, "x", KEYS.api[:-1], f"{KEYS.api}y"):
                answer = ask(url, path, key, method)
                if path in OPEN:
                    assert answer.status_code in {200, 503}
                else:
                    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key"), (
                        path
                    )
            assert path in OPEN or scopes, f"{method} {path} declares no scope"
        assert ask(url, "/docs").status_code == 404


def test_every_route_keeps_to_its_scope(url: str) -> None:
    keys = {scope: make_key(url, f"for-{scope}", scope) for scope in SCOPES}
    for method, path, wanted in every_route(url):
        if path in OPEN:
            continue
        for scope, key in keys.items():
            answer = ask(url, path, key, method)
            is_refused = answer.status_code == 403 and answer.json()["error"]["code"] == "scope_missing"
            assert is_refused == (SCOPES.index(scope) < SCOPES.index(wanted[0])), (method, path, scope)
    said = ask(url, "/v1/runs/x/pause", keys["read"], "POST").json()["error"]["message"]
    assert "needs a key with the scope 'run'; the key 'for-read' has 'read'" in said


def test_a_key_is_shown_once_stored_as_a_hash_and_dead_when_revoked(url: str, postgres_url: str) -> None:
    key = make_key(url, "ann", "run")
    assert mask(f"the key {key}") == "the key ***"
    listed = ask(url, "/v1/keys", key=KEYS.api).json()["data"]
    assert [(one["name"], one["scope"], one["revoked_at"]) for one in listed] == [("ann", "run", None)]
    with psycopg.connect(postgres_url) as connection:
        row = connection.execute("SELECT k::text FROM api_keys k").fetchone()
        assert row is not None
        assert key not in row[0]
    assert ask(url, "/v1/runs", key).status_code == 200
    assert ask(url, "/v1/keys").json()["data"][0]["last_used_at"]
    assert ask(url, "/v1/keys/ann", method="DELETE").json()["revoked_at"]
    assert ask(url, "/v1/runs", key).status_code == 401
    again = ask(url, "/v1/keys", method="POST", json={"name": "ann"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
    assert ask(url, "/v1/keys/bob", method="DELETE").status_code == 404
    assert ask(url, "/v1/keys", method="POST", json={"name": "internal"}).status_code == 409
    told = [entry for entry in ask(url, "/v1/log").json()["data"] if entry["action"] != "leader"]
    assert [(entry["action"], entry["detail"]["name"]) for entry in told] == [
        ("key_made", "ann"),
        ("key_revoked", "ann"),
    ]


def test_the_command_makes_lists_and_revokes_keys(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"URL": url, "API_KEY": KEYS.api, "INTERNAL_KEY": KEYS.internal}.items():
        monkeypatch.setenv(f"COMD_{name}", value)
    key = command("create", "ann", "--scope", "run")
    assert ask(url, "/v1/runs", key).status_code == 200
    assert re.fullmatch(r"ann  run  made .*, last used .*", command("list"))
    assert "the key ann is revoked" in command("revoke", "ann")
    assert ask(url, "/v1/runs", key).status_code == 401
    assert re.search(r", revoked 20", command("list"))


def command(*arguments: str) -> str:
    ended = CliRunner().invoke(app, ["key", *arguments])
    assert ended.exit_code == 0, ended.output
    return str(ended.stdout).splitlines()[-1]  # before it may stand what the coordinator's thread logs


async def test_a_revoked_key_is_dead_everywhere_within_seconds(postgres_url: str) -> None:
    now, engine = [0.0], connect(postgres_url)
    ring, key = KeyRing(KEYS, engine, lambda: now[0]), new_key()
    async with engine.begin() as c:
        await api_keys.add(c, "ann", "read", hash_of(key))
    assert await ring.caller(key) == Caller("ann", "read")
    async with engine.begin() as c:
        await api_keys.revoke(c, "ann")
    assert await ring.caller(key) == Caller("ann", "read")  # another coordinator's knowledge is seconds old
    now[0] += KEPT_S
    assert await ring.caller(key) is None
    async with engine.begin() as c:
        assert (await api_keys.everything(c))[0]["last_used_at"]
    await engine.dispose()


async def test_without_the_database_known_keys_open_and_nobody_says_that_others_are_wrong(
    postgres_url: str,
) -> None:
    now, engine = [0.0], connect(postgres_url)
    ring, key = KeyRing(KEYS, engine, lambda: now[0]), new_key()
    async with engine.begin() as c:
        await api_keys.add(c, "ann", "run", hash_of(key))
    await ring.caller(key)
    async with engine.begin() as c:
        await execute(c, "ALTER TABLE api_keys RENAME TO gone")  # as good as a database that is away
    now[0] += KEPT_S
    assert await ring.caller(key) == Caller("ann", "run")
    with pytest.raises(EngineUnavailable, match="the database, which knows the keys"):
        await ring.caller(new_key())
    assert await ring.caller(KEYS.api) is not None
    await engine.dispose()


def test_a_body_is_cut_off_where_it_is_too_long_whatever_length_it_says(
    settings: CoordinatorSettings,
) -> None:
    small = settings.model_copy(update={"max_body_bytes": 2000})
    with serving(create_coordinator_app(small, KEYS)) as url:
        for body in (b" " * 2001, iter([b" " * 1500] * 2)):
            answer = ask(url, "/v1/runs", method="POST", content=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
            assert "longer than 2000 bytes" in answer.json()["error"]["message"]
        answer = ask(url, "/v1/runs", method="POST", content=iter([b"{}"]), headers={"content-type": JSON})
        assert answer.status_code == 422


def test_too_many_requests_of_one_key_hold_up_nobody_else(settings: CoordinatorSettings) -> None:
    few = settings.model_copy(update={"requests_per_minute": 5})
    with serving(create_coordinator_app(few, KEYS)) as url:
        key = make_key(url, "ann", "read")
        answers = [ask(url, "/v1/runs", key) for _ in range(7)]
        assert [one.status_code for one in answers] == [200] * 5 + [429] * 2
        assert answers[-1].json()["error"]["code"] == "rate_limit_exceeded"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert ask(url, "/v1/runs").status_code == 200
        assert [ask(url, "/v1/runs", "wrong").status_code for _ in range(7)] == [401] * 5 + [429] * 2
        assert ask(url, "/v1/runs").status_code == 200  # from the very address
        assert {ask(url, "/v1/runs", KEYS.internal).status_code for _ in range(9)} == {200}


async def test_event_streams_of_a_key_are_bounded(settings: CoordinatorSettings, postgres_url: str) -> None:
    engine = connect(postgres_url)
    async with engine.begin() as c:
        await make_run(c)
    await engine.dispose()
    two = settings.model_copy(update={"streams_per_key": 2})
    headers = {"authorization": f"Bearer {KEYS.api}"}
    with serving(create_coordinator_app(two, KEYS)) as url:
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as http:
            async with contextlib.AsyncExitStack() as streams:
                for status in (200, 200, 429, 429):
                    stream = await streams.enter_async_context(http.stream("GET", f"/v1/runs/{RUN}/events"))
                    assert stream.status_code == status
            async with asyncio.timeout(5):  # those that were left are free again
                while True:
                    async with http.stream("GET", f"/v1/runs/{RUN}/events") as stream:
                        if stream.status_code == 200:
                            return
