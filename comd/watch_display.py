"""Where a watch is shown: live on a terminal, a line now and then elsewhere, or JSON lines for machines."""

import time
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.live import Live

from comd.watch_screen import Seen, counted, pace, screen, where

PLAIN_EVERY_S = 5.0  # between two lines about the same phase
REFRESHES_PER_S = 4


class Display(Protocol):
    tells: bool  # whether a person reads it, who also wants money and stories

    def __enter__(self) -> "Display": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, seen: Seen) -> None: ...


def is_live(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal


def display_on(console: Console, as_json: bool) -> Display:
    if as_json:
        return JsonLines()
    return LiveScreen(console) if is_live(console) else PlainLines(console)


class LiveScreen:
    tells = True

    def __init__(self, console: Console):
        self._console = console
        self._live = Live(console=console, transient=True, refresh_per_second=REFRESHES_PER_S)

    def __enter__(self) -> "LiveScreen":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, seen: Seen) -> None:
        self._live.update(screen(seen, self._console))


class PlainLines:
    tells = True

    def __init__(self, console: Console):
        self._console = console
        self._last: tuple[str, float] = ("", float("-inf"))

    def __enter__(self) -> "PlainLines":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, seen: Seen) -> None:
        phase, now = where(seen.event), time.monotonic()
        if phase == self._last[0] and now - self._last[1] <= PLAIN_EVERY_S:
            return
        progress = seen.progress()
        said = ", ".join(part for part in (counted(progress), pace(progress, seen.usage)) if part)
        line = f"  {phase}: {said}" if said else f"  {phase}"
        self._console.print(line, highlight=False, soft_wrap=True, markup=False)
        self._last = (phase, now)


class JsonLines:
    """Every event whole; it goes out at once, also into a pipe."""

    tells = False

    def __enter__(self) -> "JsonLines":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, seen: Seen) -> None:
        print(seen.event.model_dump_json(), flush=True)
