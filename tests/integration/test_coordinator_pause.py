"""A pause, a cancellation and SIGTERM in the middle: what is in flight is kept, and never asked twice."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from services.coordinator.worker import work_until_told
from tests.doubles.town import KEYS, Town, town

LEASED = "SELECT count(*) FROM tasks WHERE state = 'leased'"
HOLDS_TRAINER = "SELECT count(*) FROM runs WHERE holds_lease"


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    async with town(tmp_path, postgres_url, redis_url, num_pictures=12, concurrency=4, lease_s=20) as place:
        yield place


def count(place: Town, query: str) -> int:
    with psycopg.connect(place.settings.database_url) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return int(row[0])


async def calls(place: Town) -> dict[str, Any]:
    return dict((await place.http.get(f"{place.engine_url}/scripted/calls")).json())


async def until_asked(place: Town, number: int, role: str = "teacher") -> None:
    async with asyncio.timeout(20):
        while (await calls(place))["by_role"].get(role, 0) < number:
            await asyncio.sleep(0.02)


async def until_none_is_leased(place: Town, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while count(place, LEASED):
            await asyncio.sleep(0.03)


async def test_what_is_in_flight_at_a_pause_is_kept_and_nothing_new_begins(place: Town) -> None:
    await place.set_faults({"kind": "slow", "seconds": 3, "role": "student"})
    run_id = await place.begin(trainings=2)
    await until_asked(place, 5, "student")
    await place.post(f"/v1/runs/{run_id}/pause")
    await asyncio.sleep(0.7)  # seen by worker and driver, and the student is still at it
    assert count(place, LEASED) > 0
    assert count(place, HOLDS_TRAINER) == 1
    await until_none_is_leased(place, 15)
    async with asyncio.timeout(5):
        while count(place, HOLDS_TRAINER):
            await asyncio.sleep(0.03)
    asked = (await calls(place))["by_role"]
    assert 5 <= asked["student"] < 24
    assert count(place, "SELECT count(*) FROM bindings WHERE role = 'student'") == asked["student"]
    # answers that came after the pause wait for the judge
    assert count(place, "SELECT count(*) FROM verdicts") < asked["student"]
    await place.set_faults()
    await place.post(f"/v1/runs/{run_id}/resume")
    assert (await place.wait_for_end(run_id))["status"] == "finished"
    said = await calls(place)
    assert (said["by_role"]["student"], said["repeated"]) == (24, 0)


async def test_a_run_that_is_resumed_while_it_comes_to_rest_goes_on(place: Town) -> None:
    await place.set_faults({"kind": "slow", "seconds": 2.0, "role": "teacher"})
    run_id = await place.begin(trainings=1)
    await until_asked(place, 4)
    await place.post(f"/v1/runs/{run_id}/pause")
    await asyncio.sleep(0.7)  # the worker has seen it, and its calls are still under way
    assert count(place, LEASED) > 0
    await place.post(f"/v1/runs/{run_id}/resume")
    await place.set_faults()
    assert (await place.wait_for_end(run_id))["status"] == "finished"
    assert (await calls(place))["repeated"] == 0


async def test_a_cancelled_run_is_dropped_at_once(place: Town) -> None:
    await place.set_faults({"kind": "slow", "seconds": 4, "role": "teacher"})
    run_id = await place.begin(trainings=1)
    await until_asked(place, 4)
    await place.post(f"/v1/runs/{run_id}/cancel")
    await until_none_is_leased(place, 2)


@pytest.fixture
async def without_worker(
    tmp_path: Path, postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Town]:
    monkeypatch.setenv("COMD_API_KEY", KEYS.api)
    monkeypatch.setenv("COMD_INTERNAL_KEY", KEYS.internal)
    async with town(
        tmp_path, postgres_url, redis_url, num_pictures=12, num_workers=0, concurrency=4
    ) as place:
        yield place


@pytest.mark.parametrize(("seconds", "kept"), [(1.0, True), (4.0, False)])
async def test_a_worker_that_is_told_to_end_lets_its_calls_end_but_not_for_long(
    without_worker: Town, seconds: float, kept: bool
) -> None:
    place = without_worker
    await place.set_faults({"kind": "slow", "seconds": seconds, "role": "teacher"})
    working = asyncio.create_task(work_until_told(place.settings, drain_s=3.0 if kept else 0.5))
    await place.begin(trainings=1)
    await until_asked(place, 4)
    started = time.monotonic()
    os.kill(os.getpid(), signal.SIGTERM)
    with contextlib.suppress(asyncio.CancelledError):
        await working
    assert time.monotonic() - started < 3.5
    asked = (await calls(place))["by_role"]["teacher"]
    assert count(place, "SELECT count(*) FROM bindings") == (asked if kept else 0)
    assert count(place, LEASED) == 0
