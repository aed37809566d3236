"""Whether an engine is up. While it is down, one health check at a time goes to it, ever more rarely.

In: calls that found nobody there, and calls that were answered. Out: EngineUnreachable at once while it is down.
"""

from collections.abc import Awaitable, Callable

from shared import logs
from shared.errors import EngineUnreachable

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0

log = logs.get(__name__)


class Health:
    """What is known of one engine; `clock` gives monotonic seconds."""

    def __init__(self, url: str, is_well: Callable[[], Awaitable[bool]], clock: Callable[[], float]):
        self.url, self._is_well, self._clock = url, is_well, clock
        self.up = True
        self._message = ""
        self._pause_s = FIRST_PAUSE_S
        self._next_check = 0.0
        self._checking = False

    def check(self) -> None:
        """EngineUnreachable while it is down and it is not yet time to look again."""
        if not self.up and (self._checking or self._clock() < self._next_check):
            raise self.down()

    async def ready(self) -> None:
        """Before a call. While the engine is down, the first call that comes in time looks whether it is back."""
        self.check()
        if self.up:
            return
        self._checking = True
        try:
            well = await self._is_well()
        finally:
            self._checking = False
        if well:
            self.answered()
            return
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._next_check = self._clock() + self._pause_s
        raise self.down()

    def lost(self, error: EngineUnreachable) -> None:
        """A call found nobody there."""
        self._message = error.message
        if self.up:
            log.warning("engine_down", engine=self.url, said=error.message)
            self.up, self._pause_s = False, FIRST_PAUSE_S
            self._next_check = self._clock() + self._pause_s

    def answered(self) -> None:
        """A call was answered."""
        if not self.up:
            log.info("engine_up", engine=self.url)
            self.up = True

    def down(self) -> EngineUnreachable:
        """The error for whoever wants the engine while it is down."""
        return EngineUnreachable(self._message, retry_after_s=self._wait_s())

    def _wait_s(self) -> float:
        return round(max(self._next_check - self._clock(), 0.1), 2)
