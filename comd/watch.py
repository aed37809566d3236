"""Follows a run while it works. In: a client and a run's id. Out: progress, what each iteration did, how it ended."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from rich.console import Console

from comd.client import Client
from comd.following import LOOK_S, without_waiting
from comd.printable import printable
from comd.report import story
from comd.watch_display import display_on, is_live
from comd.watch_screen import POINTS, Seen, curve, last_iteration
from services.coordinator.api.shapes import Run, RunEvent, RunLine, RunUsage
from shared.errors import EngineUnavailable

Asked = TypeVar("Asked")
USAGE_EVERY_S = 2.0  # between two questions for what is spent
ENDED = {"finished", "exhausted", "paused", "cancelled", "failed"}
PATIENCE_S = 60.0  # a service that restarts is waited for this long


def watch_run(
    client: Client,
    run_id: str,
    console: Console,
    check: Callable[[], None] = lambda: None,
    as_json: bool = False,
    look_s: float = LOOK_S,
) -> Run:
    """Follow the run until it ends or pauses and give its last state. `check` may raise to stop the watch."""
    money = _Money(client, run_id)
    seen: Seen | None = None
    told = 0
    with display_on(console, as_json) as display:
        for event in without_waiting(client.runs.events(run_id), look_s):
            check()
            if event is None:
                continue
            seen = seen or _joined(client, event)
            seen.take(event)
            seen.usage = money.spent() if display.tells else None
            display.show(seen)
            if display.tells:
                told = _tell(console, event, told)
            if event.status in ENDED:
                break
    run = patiently(client.runs.get, run_id)
    if not as_json:
        _tell_end(console, seen, run)
    return run


def _joined(client: Client, event: RunEvent) -> Seen:
    """What happened of a training before anybody watched belongs to its curve."""
    seen, last = Seen(event), last_iteration(event)
    if last is not None and last.phase in {"training", "pretraining"}:
        seen.losses = [point.loss for point in client.runs.curve(event.id, last.number)][-POINTS:]
    return seen


def _tell_end(console: Console, seen: Seen | None, run: Run) -> None:
    known = [] if seen is None else [value for value in seen.heldout() if value is not None]
    if len(known) > 1 and is_live(console):
        said = f"held-out {curve(known, console)} {known[0]:.3f} -> {known[-1]:.3f}"
        console.print(said, highlight=False)
    console.print(f"Run {printable(run.name)} is {run.status}{because(run)}.", markup=False)


def _tell(console: Console, event: RunEvent, told: int) -> int:
    """Tell every iteration that is over and was not told; gives the number of the first that was not."""
    last = last_iteration(event)
    for position, iteration in enumerate(event.iterations):
        is_over = iteration is not last or event.status in ENDED
        if iteration.number >= told and is_over:
            before = event.iterations[position - 1].model_dump() if position else None
            for line in story.tell(iteration.model_dump(), before):
                console.print(printable(line), highlight=False, soft_wrap=not is_live(console), markup=False)
            told = iteration.number + 1
    return told


def because(run: RunLine) -> str:
    return f": {printable(run.reason)}" if run.reason else ""


def patiently(ask: Callable[[str], Asked], name: str) -> Asked:
    """What is asked of a service by a run's or job's name; while it is restarted it is waited for."""
    ends = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask(name)
        except EngineUnavailable:
            if time.monotonic() > ends:
                raise
            time.sleep(1.0)


class _Money:
    """What the run spent, asked for now and then: its events do not say."""

    def __init__(self, client: Client, run_id: str):
        self._client, self._run_id = client, run_id
        self._asked_at = float("-inf")
        self._last: RunUsage | None = None

    def spent(self) -> RunUsage | None:
        if time.monotonic() - self._asked_at >= USAGE_EVERY_S:
            with suppress(EngineUnavailable):  # the events tell of a coordinator that is away
                self._last = self._client.runs.get(self._run_id).usage
            self._asked_at = time.monotonic()
        return self._last
