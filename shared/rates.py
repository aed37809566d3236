"""Limits on requests a minute, counted in this process: for each key, and for addresses without a right one.

In: a name. Out: nothing, or TooManyRequests with the seconds to wait.
"""

import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from shared.errors import TooManyRequests

STRANGERS_PER_MINUTE = 12_000  # without a right key, from one address, where nothing else is said


class Rates:
    """What each caller has asked for lately."""

    def __init__(self, per_minute: int | None = None):
        """Without a number right keys are not limited, since the service bounds its work in another way."""
        self._of_key = RateLimitItemPerMinute(per_minute) if per_minute else None
        self._of_address = RateLimitItemPerMinute(per_minute or STRANGERS_PER_MINUTE)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def count_request(self, key_name: str) -> None:
        """A request with a right key."""
        if self._of_key:
            await self._count(self._of_key, "key", key_name)

    async def count_wrong_key(self, address: str) -> None:
        """A request without one. Right keys from the same address are not held up by it."""
        await self._count(self._of_address, "address", address)

    async def _count(self, item: RateLimitItemPerMinute, kind: str, name: str) -> None:
        if await self._limiter.hit(item, kind, name):
            return
        window = await self._limiter.get_window_stats(item, kind, name)
        wait_s = max(1, round(window.reset_time - time.time()))
        what = f"key {name!r}" if kind == "key" else f"{name} without a right key"
        raise TooManyRequests(
            f"{what}: more than {item.amount} requests in a minute; ask again in {wait_s} s",
            retry_after_s=wait_s,
        )


class Streams:
    """How many event streams each caller has open."""

    def __init__(self, most: int):
        self.most, self._open = most, Counter[str]()

    @contextmanager
    def place(self, key_name: str) -> Generator[None]:
        """One stream while the context lasts."""
        if self._open[key_name] >= self.most:
            raise TooManyRequests(
                f"key {key_name!r} has {self.most} event streams open, which is the most; close one first",
                retry_after_s=5,
            )
        self._open[key_name] += 1
        try:
            yield
        finally:
            self._open[key_name] -= 1
