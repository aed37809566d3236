"""How far a piece of work is: a bar with rate and time left on a terminal, a plain line now and then elsewhere."""

import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

PLAIN_EVERY_S = 5.0
RATE_OVER_S = 30.0


class WorkDisplay:
    """One piece of work; `show` as often as you like.

    The rate is that of the last half minute: what an earlier start has done is soon out of it.
    """

    def __init__(self, console: Console, what: str, unit: str, now: Callable[[], float] = time.monotonic):
        self.what, self.unit = what, unit
        self._console, self._now = console, now
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[said]}"),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task(what, total=None, said="")
        self._lately = deque[tuple[float, int]]()  # when how much was done, a second apart
        self._printed_at = float("-inf")

    def __enter__(self) -> "WorkDisplay":
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def show(self, done: int, total: int | None, more: str = "") -> None:
        now = self._now()
        self._note(now, done)
        said = ", ".join(part for part in (self._said(now, done, total), more) if part)
        if self._console.is_terminal:
            self._bar.update(self._task, completed=done, total=total, said=said)
        elif now - self._printed_at >= PLAIN_EVERY_S:
            self._console.print(f"  {self.what}: {said}", highlight=False, soft_wrap=True)
            self._printed_at = now

    def _note(self, now: float, done: int) -> None:
        if not self._lately or now - self._lately[-1][0] >= 1.0:
            self._lately.append((now, done))
        while len(self._lately) > 2 and now - self._lately[1][0] > RATE_OVER_S:
            self._lately.popleft()

    def _said(self, now: float, done: int, total: int | None) -> str:
        began, before = self._lately[0]
        said = [f"{done:,} {self.unit}" if total is None else f"{done:,} of {total:,} {self.unit}"]
        if done > before and now > began:
            rate = (done - before) / (now - began)
            said.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s")
            if total is not None:
                said.append(f"{timedelta(seconds=round(max(total - done, 0) / rate))} left")
        return ", ".join(said)
