"""Postgres and Redis, as `doctor` looks at them. In: connections. Out: findings, whatever state they are in."""

import asyncio
from datetime import UTC, datetime

from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.coordinator.database import Reader
from services.coordinator.leadership import DRIVER_LOCK
from services.coordinator.migrate import schema_is_current
from services.coordinator.queue import GROUP, Queue
from services.coordinator.repositories import overview
from shared.finding import Finding, clock, ok, problem, warning

TIMEOUT_S = 8.0
OLDEST_POSTGRES = 14
OLDEST_REDIS = (6, 2)
ALIVE_MS = 10_000  # a worker asks for messages every half second


async def look_at_database(engine: AsyncEngine) -> list[Finding]:
    try:
        async with asyncio.timeout(TIMEOUT_S), Reader(engine).connect() as c:
            return [await _server(c), await _schema(c), await _clock(c), await _leader(c)]
    except TimeoutError:
        said = f"no answer within {TIMEOUT_S:g} s"
    except DBAPIError as error:
        said = str(error.orig).strip().splitlines()[0][:200]
    todo = "start Postgres, or correct DATABASE_URL; runs go on by themselves when it is back"
    return [problem("database", f"cannot be used: {said}", todo)]


async def _server(c: AsyncConnection) -> Finding:
    about = await overview.about_server(c)
    said = f"Postgres {about['version'].split()[0]}, {about['bytes'] / 2**20:.0f} MiB"
    if int(about["version"].split(".")[0]) < OLDEST_POSTGRES:
        return warning(
            "database", said, f"use Postgres {OLDEST_POSTGRES} or newer; older ones are not tested"
        )
    return ok("database", said)


async def _schema(c: AsyncConnection) -> Finding:
    if await c.run_sync(schema_is_current):
        return ok("schema", "current")
    return problem(
        "schema",
        "not the one of this version",
        "start the coordinator of this version anew, which brings it up to date; if it says that the schema is "
        "newer, install the newer version",
    )


async def _clock(c: AsyncConnection) -> Finding:
    now = (await overview.about_server(c))["now"]
    return clock("database clock", (now - datetime.now(UTC)).total_seconds(), "the coordinator's")


async def _leader(c: AsyncConnection) -> Finding:
    if await overview.is_locked(c, DRIVER_LOCK):
        return ok("leader", f"a coordinator leads, in epoch {await overview.leader_epoch(c)}")
    todo = "look into the coordinator's log; a new one leads within seconds, else start it anew"
    return problem("leader", "no coordinator leads, so no run moves", todo)


async def look_at_redis(queue: Queue) -> list[Finding]:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            info = await queue.redis.info()
            return [_redis_server(info), await _workers(queue)]
    except (RedisError, OSError, TimeoutError) as error:
        said = str(error)[:200] or "no answer"
    todo = "start Redis, or correct REDIS_URL; nothing is lost, and tasks are published again when it is back"
    return [problem("redis", f"cannot be used: {said}", todo)]


def _redis_server(info: dict[str, object]) -> Finding:
    version, policy = str(info["redis_version"]), info.get("maxmemory_policy", "noeviction")
    said = f"Redis {version}, {policy}"
    if tuple(map(int, version.split(".")[:2])) < OLDEST_REDIS:
        return problem(
            "redis", said, "use Redis 6.2 or newer: XAUTOCLAIM, which workers need, is not in older ones"
        )
    if info.get("maxmemory") and policy != "noeviction":
        todo = "CONFIG SET maxmemory-policy noeviction: evicted tasks are published again, but late"
        return warning("redis", said, todo)
    return ok("redis", said)


async def _workers(queue: Queue) -> Finding:
    try:
        consumers = await queue.redis.xinfo_consumers(queue.stream, GROUP)
    except RedisError:  # nothing was ever published or read
        consumers = []
    reading = sum(one["cmd"] == "xreadgroup" for one in await queue.redis.client_list())
    alive = max(
        sum(one["idle"] < ALIVE_MS for one in consumers), reading
    )  # who never got a task is no consumer
    length, pending = await queue.lengths()
    if not alive:
        todo = "start one: python -m services.coordinator.worker, with this coordinator's environment"
        return problem("workers", f"none has asked for work lately; {length} tasks in the queue", todo)
    return ok("workers", f"{alive} at work; {length} tasks in the queue, {pending} of them taken")
