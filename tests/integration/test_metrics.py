"""What a running system tells of itself: every metric that the dashboard asks for is there, and says what is so."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.coordinator.database import connect
from services.coordinator.metrics_port import answering_metrics
from services.coordinator.settings import CoordinatorSettings
from tests.doubles.town import KEYS, Town, town
from tests.loopback import free_port

DASHBOARD = Path(__file__).parents[2] / "configs" / "grafana" / "comd.json"
METRIC = re.compile(r"\b(?:comd|process)_[a-z_]+\b")
UNITS = ("_total", "_seconds", "_bytes", "_info")
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def dashboard() -> dict[str, Any]:
    return dict(json.loads(DASHBOARD.read_text()))


def queried() -> set[str]:
    """The names in all the panels' queries."""
    return {
        name
        for panel in dashboard()["panels"]
        for one in panel["targets"]
        for name in METRIC.findall(one["expr"])
    }


async def scrape(http: httpx.AsyncClient) -> Samples:
    reply = await http.get("/metrics")
    assert reply.is_success
    families = text_string_to_metric_families(reply.text)
    samples = [sample for family in families for sample in family.samples]
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}


async def test_the_dashboard_asks_only_for_what_a_running_system_tells(
    tmp_path: Path, postgres_url: str, redis_url: str
) -> None:
    async with town(tmp_path, postgres_url, redis_url, num_pictures=2) as place:
        run_id = await place.begin(trainings=2)
        during = await until_augmented(place)
        await place.wait_for_end(run_id)
        found = during | await scrape(place.http)
    names = {name for name, _ in found}
    assert queried() - names == set()
    assert len(queried()) > 20
    assert found["comd_runs", (("status", "finished"),)] == 1
    assert found["comd_leader", ()] == found["comd_database_up", ()] == found["comd_redis_up", ()] == 1
    assert found["comd_items_total", (("role", "teacher"),)] >= 4
    assert found["comd_items_total", (("role", "augmentor"),)] >= 1
    assert found["comd_commit_units_count", ()] > 0
    routes = {dict(labels)["route"] for name, labels in found if name == "comd_http_requests_total"}
    assert "/v1/runs/{run_id}" in routes
    assert not any(run_id in route for route in routes)


async def until_augmented(place: Town) -> Samples:
    """Everything that was told while the run went on; what belongs to a running run is gone afterwards."""
    seen: Samples = {}
    async with asyncio.timeout(30):
        while ("comd_items_total", (("role", "augmentor"),)) not in seen:
            seen |= await scrape(place.http)
    return seen


def test_the_dashboard_can_be_loaded_as_it_is() -> None:
    board = dashboard()
    assert board["schemaVersion"] >= 36
    assert [one["type"] for one in board["templating"]["list"]] == ["datasource"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids) > 15
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        assert panel["title"]
        assert {one["datasource"]["uid"] for one in panel["targets"]} == {"${datasource}"}


async def test_stores_that_are_away_are_told_not_failed_on(tmp_path: Path, postgres_url: str) -> None:
    async with town(tmp_path, postgres_url, "redis://127.0.0.1:9/0", num_pictures=2, num_workers=0) as place:
        found = await scrape(place.http)
        assert found["comd_redis_up", ()] == 0
        assert found["comd_database_up", ()] == 1
        assert ("comd_queue_messages", ()) not in found


@pytest.mark.parametrize("port", [0, free_port()], ids=["none", "one"])
async def test_a_worker_tells_its_own_where_it_has_a_port(port: int, postgres_url: str) -> None:
    engine = connect(postgres_url)
    settings = CoordinatorSettings(database_url=postgres_url, metrics_port=port)
    url = f"http://127.0.0.1:{port or 9}"
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http, asyncio.timeout(20):
        async with answering_metrics(settings, KEYS, engine):
            if port == 0:
                return
            while not await is_up(http):
                await asyncio.sleep(0.02)
            assert (await http.get("/ready")).json()["ready"]
            assert (await http.get("/metrics")).status_code == 401
            http.headers["authorization"] = f"Bearer {KEYS.api}"
            assert ("comd_commit_units_count", ()) in await scrape(http)
        assert not await is_up(http)
    await engine.dispose()


async def is_up(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/health")).is_success
    except httpx.HTTPError:
        return False
