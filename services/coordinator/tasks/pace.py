"""How many calls a worker has with one service at once: as many as the service takes.

In: how each call went. Out: a turn for each call, in the order in which calls first came, so that those of one image
stay together. A service that is busy (429) holds all of the worker's calls to it back for as long as it says; where
the engine behind it is down, one call at a time tries. The service's own limit is found there, never here.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from services.coordinator.outgoing import ItemFailed, Unreadable, Waiting
from shared.line import Line

FIRST, MOST = 32.0, 2048.0  # calls at once
GROWTH = 0.25  # for each call that is done: a quarter more each time that all of them have been
LASTING_S = 30.0  # so long without one reply, and people are told that a service is busy


class Pace:
    """One service before one engine, as the calls of one worker see it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._allowed, self._before_down = FIRST, 0.0
        self._held_until, self._done_at = 0.0, self._loop.time()
        self._line = Line(self._room)
        self._numbers = count()

    def number(self) -> int:
        """A place in the order; a call that is repeated keeps it."""
        return next(self._numbers)

    @asynccontextmanager
    async def turn(self, number: int) -> AsyncIterator[None]:
        """The time of one call; Waiting that comes out of it holds the others back too."""
        await self._line.enter(number)
        try:
            yield
        except Waiting as error:
            self._hold_back(error)
            raise
        except (Unreadable, ItemFailed):
            self._done()  # the service is there
            raise
        else:
            self._done()
        finally:
            self._line.leave()

    @property
    def lasting(self) -> bool:
        """Whether the service has done nothing for so long that people should know."""
        return self._loop.time() - self._done_at > LASTING_S

    def _room(self) -> int:
        return 0 if self._loop.time() < self._held_until else max(1, int(self._allowed))

    def _done(self) -> None:
        self._done_at = self._loop.time()
        self._allowed = max(self._before_down, min(self._allowed + GROWTH, MOST))
        self._before_down = 0.0

    def _hold_back(self, error: Waiting) -> None:
        if error.cause == "other":
            return
        if error.cause == "busy":
            self._allowed = max(1.0, min(self._allowed, self._line.inside - 1.0))  # what the service did take
        elif not self._before_down:
            self._before_down, self._allowed = self._allowed, 1.0
        pause_s = error.retry_after_s * random.uniform(1.0, 1.4)  # no two workers come back together
        self._held_until = max(self._held_until, self._loop.time() + pause_s)
        self._loop.call_later(pause_s + 0.001, self._line.call_next)
