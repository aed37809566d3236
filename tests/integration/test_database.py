"""Which errors of the database pass by themselves, and that those are waited for."""

import asyncio

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from services.coordinator.database import connect, driver_url, is_passing, persistently
from services.coordinator.repositories.rows import execute, scalar


async def test_a_lost_server_is_told_from_a_wrong_query(postgres_url: str) -> None:
    engine = connect(postgres_url)
    async with engine.connect() as c:
        with pytest.raises(Exception, match="nowhere") as wrong:
            await scalar(c, "SELECT 1 FROM nowhere")
    async with engine.connect() as c:
        with pytest.raises(Exception, match="terminat") as lost:
            await scalar(c, "SELECT pg_terminate_backend(pg_backend_pid())")
        await c.invalidate()
    await engine.dispose()
    assert not is_passing(wrong.value)
    assert is_passing(lost.value)


async def test_what_passes_by_itself_is_told_by_its_sqlstate(postgres_url: str) -> None:
    """Each error is raised by the server itself."""
    waited_for = (
        "08006",
        "25006",
        "25P03",
        "40001",
        "40P01",
        "53100",
        "53300",
        "55P03",
        "57P01",
        "57P03",
        "58030",
    )
    for_good = ("22P02", "23505", "25P02", "3D000", "42P01", "57P04", "XX001", "P0001")
    engine = connect(postgres_url)
    for state in (*waited_for, *for_good):
        with pytest.raises(DBAPIError) as raised:
            async with engine.begin() as c:
                await scalar(c, f"DO $$ BEGIN RAISE 'no' USING ERRCODE = '{state}'; END $$")
        assert is_passing(raised.value) == (state in waited_for), state
    await engine.dispose()


async def test_a_full_pool_passes_and_a_wrong_value_does_not(postgres_url: str) -> None:
    engine = create_async_engine(driver_url(postgres_url), pool_size=1, max_overflow=0, pool_timeout=0.05)
    async with engine.connect() as c:
        with pytest.raises(Exception, match="QueuePool limit") as full:
            async with engine.connect():
                pass
        with pytest.raises(DBAPIError) as wrong:
            await scalar(c, "SELECT :text", text="\x00")
    await engine.dispose()
    assert is_passing(full.value)
    assert not is_passing(wrong.value)


async def test_a_read_only_server_is_left_for_whoever_stands_behind_its_address(postgres_url: str) -> None:
    """After a failover old connections still lead to the server that is a standby now."""
    engine = connect(postgres_url, connections=1)
    async with engine.connect() as c:
        await scalar(c, "SELECT set_config('default_transaction_read_only', 'on', false)")
        await c.commit()

    async def write() -> None:
        async with engine.begin() as c:
            await execute(c, "CREATE TABLE written (id bigint)")

    async with asyncio.timeout(10):
        await persistently(write)
    await engine.dispose()


async def test_a_silent_transaction_loses_its_locks_and_its_client_asks_again(postgres_url: str) -> None:
    """A worker that was stopped in the middle of a commit holds nobody up."""
    stopped, other = connect(postgres_url, idle_in_transaction_s=0.2), connect(postgres_url)
    async with other.begin() as c:
        await execute(c, "CREATE TABLE sums (total bigint)")
        await execute(c, "INSERT INTO sums VALUES (0)")
    times = 0

    async def add() -> None:
        nonlocal times
        times += 1
        async with stopped.begin() as c:
            await execute(c, "UPDATE sums SET total = total + 1")
            if times == 1:
                async with asyncio.timeout(5), other.begin() as unhindered:
                    await execute(unhindered, "UPDATE sums SET total = total + 10")
            await execute(c, "UPDATE sums SET total = total + 1")

    await persistently(add)
    async with other.connect() as c:
        assert (times, await scalar(c, "SELECT total FROM sums")) == (2, 12)
    await stopped.dispose()
    await other.dispose()
