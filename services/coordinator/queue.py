"""The queue: tasks travel through one Redis stream; Postgres alone knows what is left to do.

In: payloads from the driver. Out: messages for workers, delivered at least once. Losing Redis whole loses nothing
but deliveries, and `was_lost` tells that it happened.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from services.coordinator.cancellation import end_if_cancelled
from shared import logs

GROUP = "workers"
FIELD = "task"
CALL_TIMEOUT_S = 10.0  # above every blocking read

log = logs.get(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Message:
    id: str
    payload: bytes


class Queue:
    """One stream and its group of consumers. The connection is made when it is first needed, and again when lost."""

    def __init__(self, url: str, name: str):
        self.stream, self.generation = name, f"{name}:generation"
        self.redis: Any = Redis.from_url(url, socket_timeout=CALL_TIMEOUT_S, socket_connect_timeout=5.0)

    async def close(self) -> None:
        await self.redis.aclose()

    async def publish(self, payloads: Sequence[bytes]) -> None:
        """Append them all."""
        if payloads:
            pipeline = self.redis.pipeline(transaction=False)
            for payload in payloads:
                pipeline.xadd(self.stream, {FIELD: payload})
            await pipeline.execute()

    async def was_lost(self) -> bool:
        """Whether anything published so far may be gone: Redis was flushed, restarted or replaced."""
        known = await self.redis.get(self.generation)
        return known is None or known.decode() != await self._server()

    async def remember(self) -> None:
        """From here on `was_lost` is about what is published after this."""
        await self.redis.set(self.generation, await self._server())

    async def read(self, consumer: str, count: int, block_ms: int) -> list[Message]:
        """New messages; waits up to `block_ms` for the first."""

        async def read() -> Any:
            return await self.redis.xreadgroup(
                GROUP, consumer, {self.stream: ">"}, count=count, block=block_ms
            )

        replies = await self._in_group(read) or []
        found = replies.values() if isinstance(replies, dict) else [entries for _, entries in replies]
        return [message for entries in found for message in _messages(entries)]

    async def reclaim(self, consumer: str, idle_ms: int, count: int) -> list[Message]:
        """Messages whose consumer has shown no sign of life for `idle_ms`."""

        async def reclaim() -> Any:
            return await self.redis.xautoclaim(
                self.stream, GROUP, consumer, min_idle_time=idle_ms, start_id="0-0", count=count
            )

        return list(_messages((await self._in_group(reclaim))[1]))

    async def renew(self, consumer: str, ids: Sequence[str]) -> None:
        """A sign of life for messages that are being worked on."""
        if ids:
            await self._in_group(
                lambda: self.redis.xclaim(self.stream, GROUP, consumer, 0, list(ids), justid=True)
            )

    async def finish(self, ids: Sequence[str]) -> None:
        """Done with: acknowledged and removed."""
        if ids:
            pipeline = self.redis.pipeline(transaction=False)
            pipeline.xack(self.stream, GROUP, *ids)
            pipeline.xdel(self.stream, *ids)
            await pipeline.execute()

    async def _in_group(self, call: Callable[[], Awaitable[Result]]) -> Result:
        """Run a command of the group; make the group first where Redis was emptied."""
        try:
            return await call()
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
        try:
            await self.redis.xgroup_create(self.stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):  # another worker was faster
                raise
        return await call()

    async def _server(self) -> str:
        return str((await self.redis.info("server"))["run_id"])


def _messages(entries: Any) -> list[Message]:
    flat = entries[0] if entries and isinstance(entries[0], list) else entries
    return [Message(id_.decode(), fields[FIELD.encode()]) for id_, fields in flat if fields]


async def patiently(call: Callable[[], Awaitable[Result]]) -> Result:
    """Run it again, for ever, while Redis cannot be reached."""
    pause_s = 0.1
    while True:
        try:
            result = await call()
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("redis_lost", reason=str(error)[:200], retry_in_s=pause_s)
        else:
            end_if_cancelled()
            return result
        end_if_cancelled()
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, 2.0)
