"""`/runs/new` over real HTTP: a run created and started from the page, its mistakes beside the fields."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.doubles.town import KEYS, Town, town
from tests.integration.test_dashboard_pages import browser

TYPED = {"name": "from the page", "dataset": "world", "trainings": "1", "training.batch_size": "8"}


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    async with town(tmp_path, postgres_url, redis_url, num_pictures=3) as place:
        await place.register()
        yield place


@pytest.fixture
def http(place: Town) -> AsyncIterator[httpx.Client]:
    with browser(str(place.http.base_url), "api", KEYS.api) as client:
        yield client


def wrong_fields(html: str) -> set[str]:
    return set(re.findall(r'id="wrong-([^"]+)"', html))


async def test_a_run_is_created_and_started_from_the_page(place: Town, http: httpx.Client) -> None:
    assert 'href="/runs/new"' in http.get("/").text
    form = http.get("/runs/new").text
    for said in (">world (6)<", ">captions (", ">heldout (", 'placeholder="2e-05"', "difficult from"):
        assert said in form
    typed = {**TYPED, "more": "[training]\nepochs = 2", "evaluation.dataset": "heldout", "start": "yes"}
    made = http.post("/runs/new", data=typed)
    assert made.status_code == 204
    run_id = made.headers["hx-redirect"].removeprefix("/runs/")
    run = await place.wait_for_end(run_id)
    assert (run["name"], run["status"], run["target"]) == ("from the page", "finished", 1)
    config = run["config"]
    assert (config["training"]["batch_size"], config["training"]["epochs"]) == (8, 2)
    assert config["evaluation"]["dataset"] == "heldout"
    log = (await place.get(f"/v1/runs/{run_id}/log"))["data"]
    assert {entry["cause"] for entry in log[:3]} == {"asked for by api"}
    again = http.get(f"/runs/new?like={run_id}").text
    for said in ('value="from the page again"', 'value="8"', "epochs = 2", 'value="heldout" selected'):
        assert said in again


async def test_a_run_that_is_only_created_waits(place: Town, http: httpx.Client) -> None:
    made = http.post("/runs/new", data={**TYPED, "start": ""})
    run = await place.get(f"/v1{made.headers['hx-redirect']}")
    assert (run["status"], run["target"]) == ("created", 0)


async def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_is_kept(
    place: Town, http: httpx.Client
) -> None:
    hostile = '"><script>alert(1)</script>'
    cases = {
        ("name", ""): "name",
        ("dataset", ""): "dataset",
        ("dataset", "heldout"): "dataset",
        ("evaluation.dataset", hostile): "evaluation.dataset",
        ("trainings", hostile): "trainings",
        ("student.base", "a\0b"): "student.base",
        ("teacher.engine.base_url", "http://not.allowed:1"): "teacher.engine.base_url",
        ("more", f"tau = '{hostile}'"): "more",
    }
    for (field, value), beside in cases.items():
        refused = http.post("/runs/new", data={**TYPED, "teacher.engine.model": "m", field: value})
        if field != "teacher.engine.base_url":
            refused = http.post("/runs/new", data={**TYPED, field: value})
        assert refused.status_code == 422, field
        assert wrong_fields(refused.text) == {beside}, field
        assert "<script>alert" not in refused.text
        if field not in {"name", "training.batch_size"}:
            assert 'value="from the page"' in refused.text
            assert 'value="8"' in refused.text
    assert (await place.get("/v1/runs"))["data"] == []


async def test_who_may_not_run_creates_nothing(place: Town, http: httpx.Client) -> None:
    key = (await place.post("/v1/keys", {"name": "ann", "scope": "read"}))["key"]
    with browser(str(place.http.base_url), "ann", key) as ann:
        assert "/runs/new" not in ann.get("/").text
        assert ann.get("/runs/new").status_code == 403
        assert ann.post("/runs/new", data=TYPED).status_code == 403
    without_token = httpx.post(f"{place.http.base_url}/runs/new", data=TYPED, cookies=dict(http.cookies))
    assert without_token.status_code == 403
    assert (await place.get("/v1/runs"))["data"] == []


async def test_presets_are_the_shipped_files(place: Town, http: httpx.Client) -> None:
    html = http.get("/runs/new?preset=demo").text
    for said in (
        'value="tiny"',
        "first_epochs = 2",
        'value="demo-captions" selected',
        "demo-captions: not there",
    ):
        assert said in html
    assert http.get("/runs/new?preset=../demo").status_code == 404
    assert http.get("/runs/new?preset=scienceqa").status_code == 404  # a recipe, not a run's settings
    assert http.get("/runs/new?like=nothing").status_code == 404
