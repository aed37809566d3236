"""An engine is swapped in a running run: which answers came from which model, and nothing is asked twice."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from comd.commands.exits import Exit
from comd.scripted.app import create_app
from comd.scripted.roles import Behaviour
from tests.doubles.door import Door
from tests.doubles.town import KEYS, Town, town
from tests.loopback import free_port, serving

KEY = "key-of-the-second-engine"


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    async with town(tmp_path, postgres_url, redis_url, num_pictures=10, concurrency=2, lease_s=1) as place:
        yield place


@pytest.fixture
def door() -> Door:
    """In front of a second engine, whose answers are all wrong."""
    return Door(create_app(Behaviour(error_rate=1.0, unreadable_rate=0.0)))


@pytest.fixture
def second(door: Door) -> Iterator[dict[str, Any]]:
    with serving(door) as url:
        yield {"base_url": url, "model": "scripted", "kind": "scripted"}


async def swap(place: Town, run_id: str, status: int = 200, **body: Any) -> dict[str, Any]:
    reply = await place.http.patch(f"/v1/runs/{run_id}", json=body)
    assert reply.status_code == status, reply.text
    return dict(reply.json())


def rows(place: Town, query: str) -> list[Any]:
    with psycopg.connect(place.settings.database_url) as connection:
        return connection.execute(query).fetchall()  # type: ignore[call-overload,no-any-return]


async def until_rows(place: Town, table: str, number: int) -> None:
    async with asyncio.timeout(30):
        while len(rows(place, f"SELECT 1 FROM {table} LIMIT {number}")) < number:
            await asyncio.sleep(0.02)


def revision(spec: dict[str, Any]) -> str:
    return f"{spec['base_url']}|scripted|scripted"


BOUND = """
    SELECT a.model_revision, a.text FROM bindings b JOIN answers a USING (request_hash) WHERE b.role = 'teacher'
"""


async def test_a_teacher_is_swapped_in_the_middle_of_teaching(
    place: Town, second: dict[str, Any], door: Door
) -> None:
    await place.set_faults({"kind": "slow", "seconds": 0.15, "role": "teacher"})
    run_id = await place.begin(trainings=1)
    await until_rows(place, "bindings", 4)
    run = await swap(place, run_id, endpoints={"teacher": second})
    assert run["engines"]["teacher"]["base_url"] == second["base_url"]
    assert run["phase"] == "teaching"
    assert (await place.wait_for_end(run_id))["status"] == "finished"

    bound = rows(place, BOUND)
    by_model = Counter(model for model, _ in bound)
    assert set(by_model) == {revision({"base_url": place.engine_url}), revision(second)}
    assert by_model.total() == 20
    assert min(by_model.values()) >= 4
    said = Counter(text for text, _ in door.said[1:])  # the first is the probe's
    assert Counter(text for model, text in bound if model == revision(second)) == said
    first = (await place.http.get(f"{place.engine_url}/scripted/calls")).json()
    assert first["by_role"]["teacher"] == by_model[revision({"base_url": place.engine_url})]
    assert first["repeated"] == 0


async def test_a_teacher_that_died_is_swapped_though_tasks_wait_for_it(
    place: Town, second: dict[str, Any]
) -> None:
    await place.set_faults({"kind": "503", "role": "teacher", "retry_after": 0.1})
    run_id = await place.begin(trainings=1)
    await place.wait(run_id, lambda run: bool(run["progress"].get("waiting")))
    await swap(place, run_id, endpoints={"teacher": second})
    assert (await place.wait_for_end(run_id))["status"] == "finished"
    assert {model for model, _ in rows(place, BOUND)} == {revision(second)}
    await swap(place, run_id, endpoints={"teacher": second})  # a finished run may be asked for more


@pytest.mark.parametrize("within_a_call", [False, True])
async def test_an_engine_that_comes_back_with_another_model_is_recorded_as_such(
    place: Town, second: dict[str, Any], door: Door, within_a_call: bool
) -> None:
    door.root = "weights-1"
    await place.register()
    config = {"trainings": 1, "teacher": {"engine": second}}
    run = await place.post("/v1/runs", {"name": "run", "dataset": "world", "config": config})
    await place.post(f"/v1/runs/{run['id']}/iterations", {})
    await until_rows(place, "bindings", 3)
    if within_a_call:
        door.successor = "weights-2"
    else:
        door.is_away = True
        await place.wait(run["id"], lambda run: bool(run["progress"].get("waiting")))
        door.root, door.is_away = "weights-2", False
    assert (await place.wait_for_end(run["id"]))["status"] == "finished"
    bound = Counter((text, model.rpartition("|")[2]) for model, text in rows(place, BOUND))
    assert {root for _, root in bound} == {"weights-1", "weights-2"}
    assert bound <= Counter(door.said[1:])


async def test_a_teacher_is_swapped_while_new_instructions_wait_for_it(
    place: Town, second: dict[str, Any]
) -> None:
    run_id = await place.begin(trainings=2)
    await place.wait(run_id, lambda run: run["phase"] == "assessing")
    await place.set_faults({"kind": "503", "role": "teacher", "retry_after": 0.1})
    await until_rows(place, "candidates", 1)
    await place.wait(run_id, lambda run: bool(run["progress"].get("waiting")))
    assert (await swap(place, run_id, endpoints={"teacher": second}))["phase"] == "augmenting"
    assert (await place.wait_for_end(run_id))["status"] == "finished"
    by_birth = """
        SELECT DISTINCT i.born_in, a.model_revision FROM bindings b JOIN answers a USING (request_hash)
        JOIN instructions i ON i.id = b.instruction_id WHERE b.role = 'teacher' ORDER BY 1
    """
    assert rows(place, by_birth) == [(1, revision({"base_url": place.engine_url})), (2, revision(second))]
    assert rows(place, "SELECT count(*) FROM failures") == [(0,)]


async def test_an_augmentor_is_swapped_from_the_next_task(place: Town, second: dict[str, Any]) -> None:
    await place.set_faults({"kind": "slow", "seconds": 0.2, "role": "augmentor"})
    run_id = await place.begin(trainings=2)
    await until_rows(place, "candidates", 1)
    assert (await swap(place, run_id, endpoints={"augmentor": second}))["phase"] == "augmenting"
    assert (await place.wait_for_end(run_id))["status"] == "finished"
    models = {row[0] for row in rows(place, "SELECT DISTINCT revision FROM candidates")}
    assert models == {revision({"base_url": place.engine_url}), revision(second)}


VERDICTS = "SELECT iteration, revision, count(*) FROM verdicts GROUP BY 1, 2 ORDER BY 1, 2"


async def test_a_judge_is_fixed_until_the_next_assessment(place: Town, second: dict[str, Any]) -> None:
    await place.set_faults({"kind": "slow", "seconds": 0.1, "role": "judge"})
    run_id = await place.begin(trainings=3)
    await until_rows(place, "verdicts", 2)
    assert (await swap(place, run_id, endpoints={"assessor": second}))["phase"] == "assessing"
    await place.post(f"/v1/runs/{run_id}/pause")  # the tasks are taken anew, with what the run says now
    await place.post(f"/v1/runs/{run_id}/resume")
    await place.wait(run_id, lambda run: run["iteration"] == 2)
    await place.set_faults()
    assert (await place.wait_for_end(run_id))["status"] == "finished"
    (one, first, num_first), (two, other, num_second) = rows(place, VERDICTS)
    assert (one, first, num_first) == (1, revision({"base_url": place.engine_url}), 20)
    assert (two, other) == (2, revision(second))
    assert num_second > 20
    judges = [one["judge"] for one in (await place.get(f"/v1/runs/{run_id}/iterations"))["data"]]
    assert [judge and judge["revision"] for judge in judges] == [None, first, other, None]


async def test_an_assessment_whose_judge_died_begins_anew_with_another(
    place: Town, second: dict[str, Any]
) -> None:
    await place.set_faults({"kind": "slow", "seconds": 0.1, "role": "judge"})
    run_id = await place.begin(trainings=2)
    await until_rows(place, "verdicts", 3)
    await place.set_faults({"kind": "503", "role": "judge", "retry_after": 0.1})
    await swap(place, run_id, endpoints={"assessor": second})
    waiting = await place.wait(run_id, lambda run: "swapped" in (run["progress"].get("waiting") or ""))
    assert '{"restart_assessment": true}' in waiting["progress"]["waiting"]
    assert [model for _, model, _ in rows(place, VERDICTS)] == [revision({"base_url": place.engine_url})]
    await swap(place, run_id, restart_assessment=True)
    assert (await place.wait_for_end(run_id))["status"] == "finished"
    assert rows(place, VERDICTS) == [(1, revision(second), 20)]
    calls = (await place.http.get(f"{place.engine_url}/scripted/calls")).json()
    assert calls["by_role"]["student"] == 20
    assert (calls["repeated_by_role"] or {}).get("student", 0) == 0


async def test_what_cannot_be_used_changes_nothing(
    place: Town, second: dict[str, Any], door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.register()
    run = await place.post("/v1/runs", {"name": "r", "dataset": "world"})

    async def refused(endpoints: dict[str, Any], status: int = 422) -> str:
        said = await swap(place, run["id"], status, endpoints=endpoints)
        assert (await place.get(f"/v1/runs/{run['id']}"))["engines"] == {}
        return str(said["error"]["message"])

    for role in ("teacher", "assessor", "augmentor"):
        assert "gpt" in await refused({"augmentor": second, role: {**second, "model": "gpt"}})
    assert "modèle" in await refused({"teacher": {**second, "model": "modèle \u202e"}})
    away = {**second, "base_url": f"http://127.0.0.1:{free_port()}"}
    assert "cannot be reached" in await refused({"teacher": second, "augmentor": away})
    assert "allow-list" in await refused({"teacher": {**second, "base_url": "http://gpu7:8000"}})
    assert "unknown role 'student'" in await refused({"teacher": second, "student": second})
    assert "no user or password" in await refused({"teacher": {**second, "base_url": "http://a:b@127.0.0.1"}})
    assert "COMD_ENGINE_KEY_TWO, which is not set" in await refused(
        {"teacher": {**second, "key_name": "COMD_ENGINE_KEY_TWO"}}
    )
    door.is_blind = True
    assert "At most 0 image(s)" in await refused({"teacher": second})
    door.is_blind, door.key = False, KEY
    assert "none is configured" in await refused({"teacher": second})
    monkeypatch.setenv("COMD_ENGINE_KEY_TWO", "not-the-right-one")
    with_key = {**second, "key_name": "COMD_ENGINE_KEY_TWO"}
    for door.lists_openly in (False, True):
        assert "check the engine's key (COMD_ENGINE_KEY_TWO)" in await refused({"teacher": with_key})
    monkeypatch.setenv("COMD_ENGINE_KEY_TWO", KEY)
    await swap(place, run["id"], endpoints={"teacher": with_key, "augmentor": with_key})
    engines = (await swap(place, run["id"], endpoints={"teacher": None}))["engines"]
    assert set(engines) == {"augmentor"}


async def test_changes_that_make_no_sense(place: Town, second: dict[str, Any]) -> None:
    await place.register()
    run = await place.post("/v1/runs", {"name": "r", "dataset": "world"})
    await swap(place, run["id"], 422)
    await swap(place, run["id"], 422, endpoints={})
    await swap(place, run["id"], 422, endpoint={"teacher": second})
    await swap(place, "run-no", 404, endpoints={"teacher": second})
    said = await swap(place, run["id"], 409, restart_assessment=True, endpoints={"assessor": second})
    assert "not started" in said["error"]["message"]
    assert (await place.get(f"/v1/runs/{run['id']}"))["engines"] == {}
    await place.post(f"/v1/runs/{run['id']}/cancel")
    said = await swap(place, run["id"], 409, endpoints={"teacher": second})
    assert "is cancelled" in said["error"]["message"]


async def test_the_command_line_swaps_and_gives_back(place: Town, second: dict[str, Any]) -> None:
    await place.register()
    await place.post("/v1/runs", {"name": "mine", "dataset": "world"})
    env = {**os.environ, "COMD_URL": str(place.http.base_url), "COMD_API_KEY": KEYS.api}

    async def comd(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "comd", "run", "swap", "mine", "teacher", *words]
        done = await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    there = ("--url", second["base_url"], "--model", "scripted", "--kind", "scripted")
    assert await comd(*there) == (0, f"run mine: teacher is scripted at {second['base_url']}\n")
    (run,) = (await place.get("/v1/runs"))["data"]
    assert run["engines"]["teacher"] == {
        **second,
        "revision": None,
        "key_name": None,
        "json_schema": None,
    }
    for words, said in (
        ((*there[:2], "--model", "gpt"), "'gpt' is not listed"),
        (there[:2], "expected roles with --url and --model"),
        ((*there, "--default"), "expected roles with --url and --model"),
    ):
        status, text = await comd(*words)
        assert (status, said in text) == (Exit.USAGE, True), text
    assert await comd("--default") == (0, "run mine: teacher is the default\n")
    (run,) = (await place.get("/v1/runs"))["data"]
    assert run["engines"] == {}
