"""The queue against a real Redis: delivery, reclaim, and knowing that it was lost."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from comd.stack.redis import redis_child
from services.coordinator.queue import Queue, patiently
from tests.loopback import free_port


@pytest.fixture
async def queue(redis_url: str) -> AsyncIterator[Queue]:
    queue = Queue(redis_url, "test:tasks")
    yield queue
    await queue.close()


async def test_messages_come_in_order_and_each_to_one_consumer(queue: Queue) -> None:
    await queue.publish([b"1", b"2", b"3"])
    first = await queue.read("a", 2, 10)
    second = await queue.read("b", 2, 10)
    assert [one.payload for one in (*first, *second)] == [b"1", b"2", b"3"]
    assert await queue.read("a", 2, 10) == []


async def test_finished_messages_are_gone(queue: Queue) -> None:
    await queue.publish([b"1"])
    await queue.finish([one.id for one in await queue.read("a", 1, 10)])
    assert await queue.reclaim("b", 0, 10) == []
    assert await queue.redis.xlen("test:tasks") == 0


async def test_a_silent_consumers_messages_go_to_another(queue: Queue) -> None:
    await queue.publish([b"1"])
    await queue.read("dead", 1, 10)
    assert await queue.reclaim("b", 60_000, 10) == []
    assert [one.payload for one in await queue.reclaim("b", 0, 10)] == [b"1"]


async def test_a_renewed_message_is_not_reclaimed(queue: Queue) -> None:
    await queue.publish([b"1"])
    held = await queue.read("a", 1, 10)
    await asyncio.sleep(0.2)
    await queue.renew("a", [one.id for one in held])
    assert await queue.reclaim("b", 150, 10) == []


async def test_a_missing_group_is_made_again(queue: Queue) -> None:
    assert await queue.read("a", 1, 10) == []
    await queue.redis.flushall()
    await queue.renew("a", ["0-1"])
    await queue.publish([b"1"])
    assert [one.payload for one in await queue.read("a", 1, 10)] == [b"1"]


async def test_a_flush_is_noticed_exactly(queue: Queue) -> None:
    assert await queue.was_lost()
    await queue.remember()
    await queue.publish([b"1"])
    assert not await queue.was_lost()
    await queue.redis.flushall()
    assert await queue.was_lost()


async def test_a_restart_is_noticed_even_where_keys_survive(tmp_path: Path) -> None:
    child, url = redis_child(tmp_path, free_port(), tmp_path / "log")
    child.start()
    queue = Queue(url, "test:tasks")
    try:
        await patiently(queue.remember)
        await queue.redis.save()
        await queue.publish([b"after the snapshot"])
        child.kill()
        child.start()
        assert await patiently(lambda: queue.redis.exists("test:tasks:generation")) == 1
        assert await queue.was_lost()
    finally:
        await queue.close()
        child.ask_to_stop()
        child.wait_or_kill()
