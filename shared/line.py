"""A line of callers before a room that holds so many at once: in order of their numbers, safe to leave.

In: numbers, and how many may be inside now. Out: a place each, or the error with which the line was sent away.
One event loop, no locks.
"""

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count


@dataclass(order=True, slots=True)
class _Waiter:
    number: int
    arrival: int
    placed: asyncio.Future[None] = field(compare=False)


class Line:
    """`room` says how many may be inside; where it grows, `call_next` lets them in."""

    def __init__(self, room: Callable[[], int]):
        self.inside = 0
        self._room = room
        self._waiting: list[_Waiter] = []
        self._arrivals = count()

    def __len__(self) -> int:
        return len(self._waiting)

    async def enter(self, number: int) -> None:
        """Wait for a place; `leave` gives it back."""
        if not self._waiting and self.inside < self._room():
            self.inside += 1
            return
        waiter = _Waiter(number, next(self._arrivals), asyncio.get_running_loop().create_future())
        heapq.heappush(self._waiting, waiter)
        self.call_next()
        try:
            await waiter.placed
        except asyncio.CancelledError:
            self._forget(waiter)
            raise

    def leave(self) -> None:
        self.inside -= 1
        self.call_next()

    def call_next(self) -> None:
        """Let in the first of the line, as many as there is room for."""
        while self._waiting and self.inside < self._room():
            placed = heapq.heappop(self._waiting).placed
            if not placed.done():
                placed.set_result(None)
                self.inside += 1

    def send_away(self, error: Callable[[], Exception]) -> None:
        """Nobody waits any more; each gets an error of its own."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.placed.done():
                waiter.placed.set_exception(error())

    def _forget(self, waiter: _Waiter) -> None:
        placed = waiter.placed
        if placed.done() and not placed.cancelled() and placed.exception() is None:
            self.leave()  # it got its place at the moment in which it left
        elif waiter in self._waiting:
            self._waiting.remove(waiter)
            heapq.heapify(self._waiting)
