"""The gate before one engine: how many calls are with it, who is next, and what happens while it is down.

In: requests to be admitted, and their calls. Out: a place with the engine, RoleBusy before anything of a request
was done, or EngineUnavailable while the engine is down. One event loop, no locks.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count

from shared.engine.health import Health
from shared.engine.limit import Limit
from shared.errors import ComdError, EngineUnavailable, EngineUnreachable, RoleBusy
from shared.line import Line

SHORTEST_LINE = 16
LEAST_WAIT_S, MOST_WAIT_S = 0.1, 30.0
SMOOTHING = 0.1


@dataclass(slots=True, eq=False)
class Ticket:
    """One admitted request: its calls go before those of requests that came later."""

    gate: "Gate"
    number: int
    calling: bool = False  # it has made its first call


current_ticket: ContextVar[Ticket | None] = ContextVar("engine_ticket", default=None)


class Gate:
    """The life of one engine's calls in this process. `is_well` asks the engine whether it answers."""

    def __init__(
        self, url: str, is_well: Callable[[], Awaitable[bool]], clock: Callable[[], float] = time.monotonic
    ):
        self.url, self.health, self.limit = url, Health(url, is_well, clock), Limit()
        self.engine_waiting: float | None = None  # what the engine itself reports
        self._line = Line(lambda: self.limit.limit)
        self._fresh = 0  # admitted requests that have not called yet
        self._numbers = count()
        self._typical_s = 1.0

    @property
    def in_flight(self) -> int:
        """Calls that are with the engine."""
        return self._line.inside

    @property
    def waiting(self) -> int:
        """Calls in the line, and admitted requests that will join it."""
        return len(self._line) + self._fresh

    @contextmanager
    def admitted(self) -> Generator[None]:
        """A request as a whole: inside, its calls wait as long as they must."""
        self.health.check()
        if self.in_flight >= self.limit.limit and self.waiting >= max(SHORTEST_LINE, self.limit.limit):
            raise RoleBusy(
                f"{self.waiting} calls wait for the engine at {self.url}, which takes {self.limit.limit} at "
                "once; ask again after the time in Retry-After",
                retry_after_s=self._until_half(),
            )
        ticket = Ticket(self, next(self._numbers))
        self._fresh += 1
        before = current_ticket.get()
        current_ticket.set(ticket)
        try:
            yield
        finally:
            current_ticket.set(before)
            self._fresh -= not ticket.calling
            ticket.calling = True

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None]:
        """A place with the engine for one call. The caller tells of the outcome: `answered` or `failed`."""
        number = self._ticket_number()
        await self.health.ready()
        await self._line.enter(number)
        try:
            yield
        finally:
            self._line.leave()

    def answered(self, seconds: float) -> None:
        """The engine did the call of this place in so many seconds."""
        self._typical_s += SMOOTHING * (seconds - self._typical_s)
        self.health.answered()
        self.limit.finished(seconds, self.in_flight)

    def refused(self) -> None:
        """The engine has too much to do."""
        self.limit.refused(self.in_flight)

    def failed(self, error: ComdError) -> None:
        """The call failed for good."""
        if isinstance(error, EngineUnreachable):
            self.health.lost(error)
            self._line.send_away(self.health.down)
        elif isinstance(error, EngineUnavailable):
            self.refused()

    def told_waiting(self, waiting: float | None) -> None:
        """What the engine reports of its own queue; None where it does not."""
        self.engine_waiting = waiting
        if waiting is None:
            self.limit.waiting_unknown()
        else:
            self.limit.waiting(waiting, self.in_flight)
        self._line.call_next()

    def _ticket_number(self) -> int:
        ticket = current_ticket.get()
        if ticket is None or ticket.gate is not self:
            return next(self._numbers)
        self._fresh -= not ticket.calling
        ticket.calling = True
        return ticket.number

    def _until_half(self) -> float:
        """Seconds until the line is half as long: who comes back then finds room, and the line never runs dry."""
        rate = max(self.in_flight, 1) / self._typical_s
        return min(max(self.waiting / 2 / rate, LEAST_WAIT_S), MOST_WAIT_S)
