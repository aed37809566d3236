"""New instructions get their teacher answers in the task that brought them forth, and no other waits for that."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.doubles.town import Town, town


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    """Ten pictures; a worker with places for five tasks, and for as many that only stream."""
    async with town(tmp_path, postgres_url, redis_url, num_pictures=10, concurrency=5) as place:
        yield place


def one(place: Town, query: str) -> Any:
    with psycopg.connect(place.settings.database_url) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0]


async def until(place: Town, query: str) -> None:
    async with asyncio.timeout(20):
        while not one(place, query):
            await asyncio.sleep(0.03)


ALL_AUGMENTED = """
    SELECT count(*) > 5 AND NOT EXISTS (SELECT FROM selections s WHERE s.instruction_id NOT IN (
        SELECT parent FROM candidates)) FROM (SELECT DISTINCT image FROM instructions WHERE born_in = 2) born
"""
NEW_ANSWERS = """
    SELECT count(*) FROM bindings b JOIN instructions i ON i.id = b.instruction_id
    WHERE b.role = 'teacher' AND i.born_in = 2
"""
ASKED = "SELECT count(*) FROM calls WHERE role = 'teacher' AND phase = '{}' AND iteration = {}"


async def test_answers_begin_before_the_phase_is_over_and_nothing_is_left_for_the_next(place: Town) -> None:
    """The teacher is away meanwhile, and the run is paused and resumed: what was written stays."""
    run_id = await place.begin(trainings=2)
    await place.wait(run_id, lambda run: run["phase"] == "assessing")
    await place.set_faults({"kind": "503", "role": "teacher", "retry_after": 0.1})
    await until(place, ALL_AUGMENTED)
    run = await place.wait(run_id, lambda run: bool(run["progress"].get("waiting")))
    assert run["phase"] == "augmenting"
    candidates = one(place, "SELECT count(*) FROM candidates")

    await place.post(f"/v1/runs/{run_id}/pause")
    await until(place, "SELECT count(*) = 0 FROM tasks WHERE state = 'leased'")
    await place.set_faults({"kind": "slow", "role": "teacher", "seconds": 0.2})
    await place.post(f"/v1/runs/{run_id}/resume")
    await until(place, f"SELECT ({NEW_ANSWERS}) > 0")
    assert one(place, "SELECT phase FROM iterations ORDER BY number DESC LIMIT 1") == "augmenting"
    run = await place.wait_for_end(run_id)

    assert (run["status"], run["iteration"]) == ("finished", 2)
    assert one(place, "SELECT count(*) FROM candidates") == candidates
    born = one(place, "SELECT count(*) FROM instructions WHERE born_in = 2")
    assert born == one(place, NEW_ANSWERS)
    assert one(place, ASKED.format("augmenting", 1)) >= born
    assert one(place, ASKED.format("teaching", 2)) == 0
    assert one(place, "SELECT count(*) FROM failures") == 0
