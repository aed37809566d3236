"""Shows a run while it works: a progress line for the phase, and per iteration what happened in plain words."""

import time
from collections.abc import Callable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from comd.client import Coordinator
from comd.report import story
from shared.errors import EngineUnavailable

Json = dict[str, Any]
POLL_S = 0.5
PLAIN_EVERY_S = 5.0  # between two progress lines where the output is no terminal
ENDED = {"finished", "exhausted", "paused", "cancelled", "failed"}
PATIENCE_S = 60.0  # a service that restarts is waited for this long


def watch_run(
    coordinator: Coordinator,
    run_id: str,
    console: Console,
    check: Callable[[], None] = lambda: None,
    poll_s: float = POLL_S,
) -> Json:
    """Follow the run until it ends or pauses and give its last state. `check` may raise to stop the watch."""
    told = 0
    with _Display(console) as display:
        while True:
            check()
            run = patiently(coordinator.run, run_id)
            display.show(run)
            if run["status"] in ENDED or run["iteration"] > told:
                told = _tell(console, coordinator, run, told)
            if run["status"] in ENDED:
                break
            time.sleep(poll_s)
    console.print(f"Run {run['name']} is {run['status']}{because(run)}.")
    return run


SHORT = {  # column names that let the table fit into eighty columns
    "number": "#",
    "tuning_pool": "tuning\npool",
    "cache_pool": "cache\npool",
    "difficult": "diff-\nicult",
    "accepted": "accep-\nted",
    "rejected": "rejec-\nted",
    "unjudged": "unjud-\nged",
    "mean_difficulty": "mean\ndiff.",
    "train_loss": "train\nloss",
    "heldout_accuracy": "held-\nout",
}


def summary_table(iterations: list[Json]) -> Table:
    """The table of a run: one row per iteration, the seconds of its phases in one column."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0, header_style="bold", caption_justify="left")
    for key, name in story.COLUMNS.items():
        table.add_column(SHORT.get(key, name), justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.caption = f"seconds: {' / '.join(story.PHASES)}"
    num_counts = len(story.COLUMNS)
    for row in story.rows(iterations):
        table.add_row(*row[:num_counts], "/".join(row[num_counts:]))
    return table


def _tell(console: Console, coordinator: Coordinator, run: Json, told: int) -> int:
    """Tell every iteration that is over and was not told; gives the number of the first that was not."""
    iterations = patiently(coordinator.report, run["id"])["iterations"]
    for position, iteration in enumerate(iterations):
        over = iteration["number"] < run["iteration"] or run["status"] in ENDED
        if iteration["number"] >= told and over:
            before = iterations[position - 1] if position else None
            for line in story.tell(iteration, before):
                console.print(line, highlight=False, soft_wrap=True)
            told = iteration["number"] + 1
    return told


def because(run: Json) -> str:
    return f": {run['reason']}" if run.get("reason") else ""


def patiently(ask: Callable[[str], Json], name: str) -> Json:
    """What is asked of a service by a run's or job's name; while it is restarted it is waited for."""
    ends = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask(name)
        except EngineUnavailable:
            if time.monotonic() > ends:
                raise
            time.sleep(1.0)


class _Display:
    """A live bar on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console):
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._last: tuple[str, float] = ("", 0.0)

    def __enter__(self) -> "_Display":
        if self._console.is_terminal:
            self._bar.start()
            self._task = self._bar.add_task("waiting", total=None, pace="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def show(self, run: Json) -> None:
        phase = f"iteration {run['iteration']} {run['phase'] or 'begins'}"
        progress = run.get("progress") or {}
        if progress.get("phase") != run["phase"]:
            progress = {}  # of the phase before
        pace = _pace(progress, run.get("usage") or {})
        done, total = progress.get("done") or 0, progress.get("total")
        if self._task is not None:
            self._bar.update(self._task, description=phase, completed=done, total=total, pace=pace)
            return
        now = time.monotonic()
        if phase != self._last[0] or now - self._last[1] > PLAIN_EVERY_S:
            counted = f"{done:,} / {total:,} {progress['unit']}" if total is not None else ""
            said = ", ".join(part for part in (counted, pace) if part)
            self._console.print(
                f"  {phase}: {said}" if said else f"  {phase}", highlight=False, soft_wrap=True
            )
            self._last = (phase, now)


def _pace(progress: Json, usage: Json) -> str:
    said = []
    if progress.get("loss") is not None:
        said.append(f"loss {progress['loss']:.3f}")
    if progress.get("rate"):
        said.append(f"{progress['rate']:.0f}/s")
    if progress.get("time_left_s") is not None:
        said.append(f"{progress['time_left_s']:.0f} s left")
    if usage.get("spent"):
        said.append(f"{usage['spent']:.2f} {usage['currency']} spent")
    if progress.get("waiting"):
        said.append(f"waiting: {progress['waiting']}")
    return ", ".join(said)
