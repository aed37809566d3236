"""Stopping a task without losing anything: nothing new begins, and what is under way comes to its end.

In: `shut` and `open`, by the worker. Out: whether the task is quiet, so that it can be given back.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import ComdError


class Shut(ComdError):
    """Nothing new may begin just now."""


class Valve:
    """One task's: open at first."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._opened.set()
        self._num_under_way = 0

    def set(self, *, is_open: bool) -> None:
        """What waits for `opening` goes on where it is opened again."""
        (self._opened.set if is_open else self._opened.clear)()

    @property
    def is_busy(self) -> bool:
        """Whether a call or a commit is under way."""
        return self._num_under_way > 0

    @property
    def is_quiet(self) -> bool:
        """Whether the task may be cancelled with nothing lost."""
        return not self._opened.is_set() and not self.is_busy

    async def opening(self) -> None:
        await self._opened.wait()

    @contextmanager
    def call(self) -> Iterator[None]:
        """The time of one call; Shut where it may not begin."""
        if not self._opened.is_set():
            raise Shut("the task is to begin nothing new")
        with self.commit():
            yield

    @contextmanager
    def commit(self) -> Iterator[None]:
        """The time in which a result is written; it is never refused."""
        self._num_under_way += 1
        try:
            yield
        finally:
            self._num_under_way -= 1
