"""Messages that come twice and in any order change nothing, and cost no call."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from services.coordinator.queue import FIELD, Queue
from tests.doubles.town import Town, town


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    async with town(
        tmp_path, postgres_url, redis_url, num_pictures=12, num_workers=2, concurrency=2
    ) as place:
        yield place


async def repeat_messages(queue: Queue, ended: asyncio.Event) -> int:
    """Everything that is in the stream, again and again, in any order; the number of messages added."""
    chance, num_added = random.Random(0), 0
    while not ended.is_set():
        there: list[Any] = await queue.redis.xrange(queue.stream)
        chance.shuffle(there)
        await queue.publish([fields[FIELD.encode()] for _, fields in there[:20]])
        num_added += len(there[:20])
        await asyncio.sleep(0.1)
    return num_added


async def test_messages_that_come_twice_and_shuffled_change_nothing(place: Town) -> None:
    queue = Queue(place.settings.redis_url, place.settings.queue_name)
    ended = asyncio.Event()  # not by cancellation, which the client can lose in the middle of a command
    repeating = asyncio.create_task(repeat_messages(queue, ended))
    await place.set_faults({"kind": "slow", "seconds": 0.1})
    run = await place.wait_for_end(await place.begin(trainings=2))
    ended.set()
    assert await repeating > 50
    await queue.close()
    assert (run["status"], run["iteration"]) == ("finished", 2)
    said = (await place.http.get(f"{place.engine_url}/scripted/calls")).json()
    assert said["repeated"] == 0
    with psycopg.connect(place.settings.database_url) as connection:
        taken_again = connection.execute("SELECT count(*) FROM calls WHERE attempt > 1").fetchone()
    assert taken_again == (0,)
