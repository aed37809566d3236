"""REST refuses what is wrong with a message that names it, and leaves nothing half-written."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.coordinator.app import create_coordinator_app
from services.coordinator.settings import CoordinatorSettings
from tests.doubles.town import KEYS, Town, town
from tests.loopback import serving


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    async with town(tmp_path, postgres_url, redis_url, num_pictures=2) as place:
        yield place


async def refused(place: Town, method: str, path: str, status: int, body: Any = None) -> str:
    reply = await place.http.request(method, path, json=body)
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert error["type"]
    return str(error["message"])


async def test_without_a_key_only_health_is_open(place: Town) -> None:
    assert (await place.http.get("/health", headers={"authorization": ""})).status_code == 200
    assert (await place.http.get("/v1/runs", headers={"authorization": "Bearer no"})).status_code == 401
    assert (await place.http.get("/ready", headers={"authorization": ""})).status_code == 200


async def test_data_sets_are_read_only_below_the_roots(place: Town) -> None:
    body = {"name": "x", "path": "/etc/passwd"}
    assert "not below the data roots" in await refused(place, "POST", "/v1/datasets", 403, body)
    sly = {"name": "x", "path": f"{place.folder}/../../../../etc/passwd"}
    await refused(place, "POST", "/v1/datasets", 403, sly)
    missing = {"name": "x", "path": str(place.folder / "nowhere.json")}
    assert "no such file" in await refused(place, "POST", "/v1/datasets", 404, missing)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[{]", "is not JSON"),
        ("[]", "no usable record"),
        ('[{"id": 1, "image": "x.png", "conversations": [{"from": "human", "value": "q"}]}]', "x.png"),
    ],
)
async def test_a_data_set_without_a_usable_record_leaves_nothing(
    place: Town, content: str, said: str
) -> None:
    file = place.folder / "bad.json"
    file.write_text(content)
    assert said in await refused(place, "POST", "/v1/datasets", 422, {"name": "bad", "path": str(file)})
    assert (await place.get("/v1/datasets"))["data"] == []


async def test_a_data_set_twice_is_the_same_and_other_content_a_conflict(place: Town) -> None:
    await place.register()
    await place.register()
    assert len((await place.get("/v1/datasets"))["data"]) == 3
    assert (await place.get("/v1/datasets/world"))["num_instructions"] == 4
    other = {
        "name": "world",
        "path": str(place.folder / "captions.json"),
        "images": str(place.folder / "images"),
    }
    assert "other content" in await refused(place, "POST", "/v1/datasets", 409, other)


async def test_a_run_needs_sound_settings_and_data(place: Town) -> None:
    await place.register()
    body = {"name": "r", "dataset": "world"}
    said = await refused(place, "POST", "/v1/runs", 422, {**body, "config": {"tua": 1}})
    assert "tua: unknown key" in said
    assert "tau" in said
    assert "no data set 'no'" in await refused(place, "POST", "/v1/runs", 422, {**body, "dataset": "no"})
    wrong = {**body, "config": {"evaluation": {"dataset": "captions"}}}
    assert "purpose 'pretrain'" in await refused(place, "POST", "/v1/runs", 422, wrong)
    assert (await place.get("/v1/runs"))["data"] == []


async def test_engines_are_probed_before_they_are_taken(place: Town) -> None:
    await place.register()
    run = await place.post("/v1/runs", {"name": "r", "dataset": "world"})
    path = f"/v1/runs/{run['id']}"
    good = {"base_url": place.engine_url, "model": "scripted", "kind": "scripted"}
    for change, said in (
        ({"teacher": {**good, "model": "gpt"}}, "gpt"),
        ({"teacher": {**good, "base_url": "http://127.0.0.1:9"}}, "cannot be reached"),
        ({"teacher": {**good, "base_url": "http://example.org"}}, "allow-list"),
        ({"student": good}, "unknown role 'student'"),
    ):
        assert said in await refused(place, "PATCH", path, 422, {"endpoints": change})
    changed = await place.http.patch(path, json={"endpoints": {"assessor": good}})
    assert changed.json()["engines"]["assessor"]["base_url"] == place.engine_url


async def test_impossible_steps_are_conflicts_and_unknown_things_not_found(place: Town) -> None:
    await place.register()
    run = await place.post("/v1/runs", {"name": "r", "dataset": "world"})
    path = f"/v1/runs/{run['id']}"
    assert (run["status"], run["iteration"], run["phase"]) == ("created", 0, None)
    assert "the run is created" in await refused(place, "POST", f"{path}/pause", 409)
    await refused(place, "POST", f"{path}/resume", 409)
    await refused(place, "GET", f"{path}/iterations/7", 404)
    await refused(place, "GET", f"{path}/pools/cache?iteration=7", 404)
    await refused(place, "GET", f"{path}/pools/cache?cursor=x", 422)
    await refused(place, "GET", f"{path}/pools/other", 422)
    await refused(place, "GET", f"{path}/instructions/1", 404)
    await refused(place, "GET", "/v1/images/abc", 422)
    for what in ("runs/run-no", "runs/run-no/report", "runs/run-no/events", "datasets/no", "nowhere"):
        await refused(place, "GET", f"/v1/{what}", 404)


async def test_an_idempotency_key_belongs_to_one_request(place: Town) -> None:
    await place.register()
    run = await place.post("/v1/runs", {"name": "r", "dataset": "world"})
    path, key = f"/v1/runs/{run['id']}", {"idempotency-key": "k"}
    await place.post(f"{path}/iterations", {"count": 1}, **key)
    reply = await place.http.post(f"{path}/iterations", json={"count": 2}, headers=key)
    assert reply.status_code == 409


def test_a_database_that_is_away_is_said(redis_url: str) -> None:
    away = "postgresql://nobody@127.0.0.1:9/none"
    settings = CoordinatorSettings(database_url=away, redis_url=redis_url)
    with serving(create_coordinator_app(settings, KEYS)) as url:
        reply = httpx.get(f"{url}/v1/runs", headers={"authorization": f"Bearer {KEYS.api}"})
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "database_unavailable")
        assert reply.headers["retry-after"] == "1"
        assert "the database cannot be used" in httpx.get(f"{url}/ready").json()["reason"]


async def test_a_parameter_that_is_given_twice_or_not_known_is_refused(place: Town) -> None:
    run_id = await place.begin()
    reply = await place.http.get(f"/v1/runs/{run_id}/instructions?words=red&words=blue")
    assert reply.status_code == 400
    assert reply.json()["error"]["message"] == "query parameter words: expected one value, got several"
    unknown = await place.http.get("/v1/evaluations?runs=one")
    assert unknown.status_code == 400
    assert "unknown query parameter 'runs'; allowed are: benchmark, run" in unknown.json()["error"]["message"]
