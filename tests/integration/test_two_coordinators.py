"""Two coordinators on one database: one leads, the other takes over when the first dies or loses its connection."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from comd.stack.children import Child
from services.coordinator.leadership import DRIVER_LOCK
from tests.doubles.town import KEYS, Town, town
from tests.integration.test_branch import content
from tests.integration.test_event_log import replay
from tests.integration.test_trackers import read_trackio
from tests.loopback import free_port

TAKEN_OVER_WITHIN_S = 10.0  # it looks once a second; the rest is for a busy machine


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    async with town(tmp_path, postgres_url, redis_url, num_pictures=4) as place:
        yield place


@contextmanager
def second_coordinator(place: Town, folder: Path) -> Iterator[tuple[Child, httpx.Client]]:
    """A process of its own beside the town's, on the same database, and its REST."""
    port = free_port()
    told = place.settings.model_dump(mode="json", exclude={"database_url", "redis_url", "data_roots"})
    env = {
        **{
            f"COMD_COORDINATOR_{name.upper()}": str(value)
            for name, value in told.items()
            if value is not None
        },
        "COMD_COORDINATOR_PORT": str(port),
        "DATABASE_URL": place.settings.database_url,
        "REDIS_URL": place.settings.redis_url,
        "COMD_API_KEY": KEYS.api,
        "COMD_INTERNAL_KEY": KEYS.internal,
        "COMD_HOME": str(folder),
    }
    child = Child("second", [sys.executable, "-m", "services.coordinator"], folder / "second.log", env)
    child.start()
    headers = {"authorization": f"Bearer {KEYS.api}"}
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as http:
            yield child, http
    finally:
        child.kill()


def leaders(place: Town) -> list[tuple[int, str]]:
    """Epochs and who led in them, the oldest first."""
    with psycopg.connect(place.settings.database_url) as connection:
        query = "SELECT (detail->>'epoch')::int, cause FROM event_log WHERE action = 'leader' ORDER BY id"
        return connection.execute(query).fetchall()


def cut_the_leaders_connection(place: Town) -> None:
    with psycopg.connect(place.settings.database_url) as connection:
        connection.execute(
            """
            SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
                AND objid = %s AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            """,
            [DRIVER_LOCK],
        )


async def until(found: Callable[[], bool], within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not found():
            await asyncio.sleep(0.05)


def end_is_tracked(place: Town, run_id: str) -> bool:
    with psycopg.connect(place.settings.database_url) as connection:
        query = "SELECT sent_at FROM shipments WHERE run_id = %s AND content->>'status' = 'finished'"
        found = connection.execute(query, [run_id]).fetchone()
        return found is not None and found[0] is not None


def answers(http: httpx.Client) -> bool:
    try:
        return http.get("/v1/runs").is_success
    except httpx.HTTPError:
        return False


async def test_one_leads_and_the_other_takes_over(
    place: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    with second_coordinator(place, tmp_path) as (child, http):
        await until(lambda: answers(http))
        assert [epoch for epoch, _ in leaders(place)] == [1]  # the second one waits, and serves
        await place.set_faults({"kind": "slow", "seconds": 0.3})
        run_id = await place.begin(trainings=2, tracking=["trackio"])
        assert http.get(f"/v1/runs/{run_id}").json()["status"] == "running"

        cut_the_leaders_connection(place)
        await until(lambda: len(leaders(place)) == 2, TAKEN_OVER_WITHIN_S)
        assert child.process is not None
        assert leaders(place)[-1][1].endswith(f"process {child.process.pid}")
        await place.wait(run_id, lambda run: run["phase"] in {"assessing", "selecting", "augmenting"})

        child.kill()
        await until(lambda: len(leaders(place)) == 3, TAKEN_OVER_WITHIN_S)
        assert leaders(place)[-1][1].endswith(f"process {os.getpid()}")
    await place.set_faults()
    assert (await place.wait_for_end(run_id))["status"] == "finished"
    undisturbed = await place.post("/v1/runs", {"name": "u", "dataset": "world", "config": {"trainings": 2}})
    await place.post(f"/v1/runs/{undisturbed['id']}/iterations", {})
    await place.wait_for_end(undisturbed["id"])
    assert content(place, run_id) == content(place, undisturbed["id"])
    await until(lambda: end_is_tracked(place, run_id))
    tracked = [(step, name) for step, name, _ in read_trackio(tmp_path, run_id)]
    assert len(tracked) == len(set(tracked))  # whoever led sent what was not sent
    assert {step for step, name in tracked if name == "train_loss"} == {1, 2}
    whole = (await place.get(f"/v1/runs/{run_id}/log"))["data"]
    assert replay(whole)["status"] == "finished"
