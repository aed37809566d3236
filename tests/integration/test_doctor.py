"""`doctor` finds what is broken, names it, and says what to do; and finds nothing where nothing is."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from comd.cli import app
from services.coordinator.database import connect
from services.coordinator.doctor.services import look_at_services
from services.coordinator.doctor.stores import look_at_database, look_at_redis
from services.coordinator.queue import Queue
from services.coordinator.repositories.rows import execute
from services.teacher.app import TeacherSettings, create_teacher_app
from shared import finding
from shared.finding import Finding
from shared.keys import Keys
from tests.doubles.town import KEYS, Town, town
from tests.loopback import free_port, serving


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    async with town(tmp_path, postgres_url, redis_url, num_pictures=2) as place:
        yield place


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = connect(postgres_url)
    yield engine
    await engine.dispose()


def wrong(found: list[Finding]) -> dict[str, Finding]:
    assert all(one.todo for one in found if one.level != "ok")
    return {one.what: one for one in found if one.level != "ok"}


async def test_a_healthy_system_has_no_problem(place: Town) -> None:
    seen = await place.get("/v1/doctor")
    found = {one["what"]: one for one in seen["data"]}
    assert {name for name, one in found.items() if one["level"] == "problem"} == set()
    assert set(found) >= {
        "database",
        "schema",
        "leader",
        "redis",
        "workers",
        "teacher",
        "assessor",
        "augmentor",
    }
    assert "at work" in found["workers"]["said"]


async def test_a_schema_of_another_version_and_a_missing_leader_are_problems(engine: AsyncEngine) -> None:
    assert set(wrong(await look_at_database(engine))) == {"leader"}
    async with engine.begin() as c:
        await execute(c, "UPDATE alembic_version SET version_num = '9999'")
    found = wrong(await look_at_database(engine))
    assert set(found) == {"leader", "schema"}
    assert "install the newer version" in str(found["schema"].todo)


async def test_stores_that_are_away_are_problems() -> None:
    away = connect("postgresql://nobody@127.0.0.1:9/none")
    found = wrong(await look_at_database(away))
    assert "correct DATABASE_URL" in str(found["database"].todo)
    await away.dispose()
    queue = Queue("redis://127.0.0.1:9/0", "q")
    assert "correct REDIS_URL" in str(wrong(await look_at_redis(queue))["redis"].todo)
    await queue.close()


async def test_a_redis_that_evicts_and_missing_workers_are_told(redis_url: str) -> None:
    queue = Queue(redis_url, "q")
    try:
        assert set(wrong(await look_at_redis(queue))) == {"workers"}
        await queue.redis.config_set("maxmemory", "200mb")
        await queue.redis.config_set("maxmemory-policy", "allkeys-lru")
        assert "noeviction" in str(wrong(await look_at_redis(queue))["redis"].todo)
    finally:
        await queue.redis.config_set("maxmemory-policy", "noeviction")
        await queue.redis.config_set("maxmemory", "0")
        await queue.close()


async def test_services_that_are_away_strange_or_of_other_keys_are_told(place: Town, tmp_path: Path) -> None:
    assert "teacher" not in wrong(await look_at_services(place.settings, KEYS))
    broken = place.settings.model_copy(
        update={
            "teacher_url": f"http://127.0.0.1:{free_port()}",
            "assessor_url": place.settings.augmentor_url,
        }
    )
    found = wrong(await look_at_services(broken, Keys(api="api-key", internal="another")))
    assert "cannot be reached" in found["teacher"].said
    assert "another program answers (augmentor)" in found["assessor"].said
    assert "does not know the internal key" in found["augmentor"].said
    silent: dict[str, Any] = {
        "engine": {"base_url": "http://127.0.0.1:9", "model": "m"},
        "image_store": str(tmp_path),
    }
    with serving(create_teacher_app(TeacherSettings(**silent), KEYS)) as url:
        found = wrong(await look_at_services(place.settings.model_copy(update={"teacher_url": url}), KEYS))
    assert "cannot use its engine" in found["teacher"].said


def test_little_room_and_wrong_clocks_are_told(tmp_path: Path) -> None:
    assert finding.disk("d", tmp_path / "not" / "there").said.endswith("not/there")
    assert finding.clock("c", 1.2, "ours").level == "ok"
    assert "3600 s ahead of ours" in finding.clock("c", 3600, "ours").said
    assert "3600 s behind ours" in finding.clock("c", -3600, "ours").said


def test_without_a_coordinator_the_command_says_so_and_looks_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    (keys / "api-key").write_text("a")
    (keys / "api-key").chmod(0o644)
    for name, value in {
        "COMD_HOME": str(tmp_path),
        "COMD_URL": f"http://127.0.0.1:{free_port()}",
        "COMD_API_KEY": "a-key",
        "COMD_INTERNAL_KEY": "b-key",
        "REDIS_URL": redis_url,
    }.items():
        monkeypatch.setenv(name, value)
    ended = CliRunner().invoke(app, ["doctor", "--json"])
    assert ended.exit_code == 1
    found = {one["what"]: one for one in json.loads(ended.stdout)}
    assert "others may read" in found["keys"]["said"]
    assert "start it with `comd up`" in found["coordinator"]["todo"]
    assert found["redis"]["level"] == "ok"
    told = CliRunner().invoke(app, ["doctor"]).stdout
    assert re.search(r"problem +keys +others may read .*api-key\n +-> chmod", told)


async def test_the_command_shows_what_the_coordinator_sees(
    place: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMD_URL", str(place.http.base_url))
    monkeypatch.setenv("COMD_API_KEY", KEYS.api)
    monkeypatch.setenv("COMD_INTERNAL_KEY", KEYS.internal)
    monkeypatch.setenv("COMD_HOME", str(tmp_path))
    ended = await asyncio.to_thread(CliRunner().invoke, app, ["doctor"])
    assert re.search(r"ok +coordinator +http://127.0.0.1:\d+: version", ended.stdout), ended.stdout
    assert re.search(r"ok +coordinator clock +within", ended.stdout)
    assert re.search(r"ok +schema +current", ended.stdout)
