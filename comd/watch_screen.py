"""A watched run on a terminal. In: its events. Out: phase, bar, rate, time left, money, curves, a table."""

from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from comd.printable import printable
from comd.report import story
from comd.sparkline import ASCII, BLOCKS, sparkline
from services.coordinator.api.shapes import IterationStand, Progress, RunEvent, RunUsage

CURVE_WIDTH = 48
BAR_WIDTH = 30
POINTS = 2_000  # remembered of a phase's rate and loss
ROWS = 6  # of the table; older iterations have been told above
COLUMNS = {
    "number": "#",
    "tuning_pool": "tuning",
    "train_loss": "loss",
    "heldout_accuracy": "held-out",
    "difficult": "difficult",
    "accepted": "accepted",
    "unjudged": "unjudged",
}


@dataclass
class Seen:
    """What a watch remembers of a run: its last event, what it spent, and the curves of the present phase."""

    event: RunEvent
    usage: RunUsage | None = None
    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def take(self, event: RunEvent) -> None:
        if _phase(event) != _phase(self.event):
            self.rates, self.losses = [], []
        self.event = event
        now = self.progress()
        for curve, value in ((self.rates, now.rate), (self.losses, now.loss)):
            if value is not None and (not curve or curve[-1] != value):
                curve.append(value)
                del curve[:-POINTS]

    def progress(self) -> Progress:
        """Of the present phase; what is left of the phase before counts as nothing."""
        progress, iteration = self.event.progress, last_iteration(self.event)
        is_now = iteration is not None and progress.phase == iteration.phase
        return progress if is_now else Progress()

    def heldout(self) -> list[float | None]:
        return [row.heldout_accuracy for row in self.event.iterations]


def last_iteration(event: RunEvent) -> IterationStand | None:
    return event.iterations[-1] if event.iterations else None


def where(event: RunEvent) -> str:
    """The iteration and its phase."""
    iteration = last_iteration(event)
    return "not begun" if iteration is None else f"iteration {iteration.number} {iteration.phase}"


def _phase(event: RunEvent) -> tuple[int, str] | None:
    iteration = last_iteration(event)
    return None if iteration is None else (iteration.number, iteration.phase)


def pace(progress: Progress, usage: RunUsage | None) -> str:
    """Loss, rate, time left, money, and what is waited for: what of them is known."""
    said = []
    if progress.loss is not None:
        said.append(f"loss {progress.loss:.3f}")
    if progress.rate:
        said.append(f"{_rate(progress.rate)}/s")
    if progress.time_left_s is not None:
        said.append(f"{duration(progress.time_left_s)} left")
    if usage is not None and usage.spent:
        of = "" if usage.limit is None else f" of {usage.limit:,.2f}"
        said.append(f"{usage.spent:,.2f}{of} {usage.currency} spent")
    if progress.waiting:
        said.append(f"waiting: {printable(progress.waiting)}")
    return ", ".join(said)


def counted(progress: Progress) -> str:
    if progress.total is None:
        return ""
    return f"{progress.done or 0:,} / {progress.total:,} {progress.unit or ''}".rstrip()


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, as one reads a clock."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02} min"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def screen(seen: Seen, console: Console) -> RenderableType:
    """The live part; what an iteration did is told above it, once it is over."""
    event, now = seen.event, seen.progress()
    head = Text(no_wrap=True, overflow="ellipsis")
    head.append(printable(event.name), "bold").append(
        f"  {event.status}, {where(event)}, {event.target} trainings in all"
    )
    parts: list[RenderableType] = [head]
    if now.total is not None:
        line = Table.grid(padding=(0, 1))
        line.add_row(
            ProgressBar(total=now.total or 1, completed=now.done or 0, width=BAR_WIDTH), counted(now)
        )
        parts.append(line)
    if said := pace(now, seen.usage):
        parts.append(Text(said, overflow="fold"))
    if len(event.iterations) > 1 or any(value is not None for value in seen.heldout()):
        parts.append(iteration_table(event.iterations[-ROWS:]))
    curves = curve_lines(seen, console)
    return Group(*parts, *([curves] if curves.row_count else []))


def curve_lines(seen: Seen, console: Console) -> Table:
    """A line a curve that has two points at least: its name, its course, first and last value."""
    lines = Table.grid(padding=(0, 1))
    lines.add_column(no_wrap=True)
    lines.add_column(no_wrap=True, style="cyan")
    lines.add_column(no_wrap=True)
    for name, values, form in (
        ("held-out", seen.heldout(), ".3f"),
        ("loss", seen.losses, ".3f"),
        ("rate", seen.rates, ",.0f"),
    ):
        known = [value for value in values if value is not None]
        if len(known) > 1:
            ends = f"{known[0]:{form}} -> {known[-1]:{form}}"
            lines.add_row(name, curve(values, console), ends)
    return lines


def curve(values: "list[float | None] | list[float]", console: Console) -> str:
    width = max(min(CURVE_WIDTH, console.width - 32), 8)
    blocks = BLOCKS if console.encoding.startswith("utf") else ASCII
    return sparkline(values, width, blocks=blocks)


def iteration_table(iterations: list[IterationStand]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in COLUMNS.values():
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("phase", no_wrap=True)
    for row in iterations:
        table.add_row(*(story.number(getattr(row, key)) for key in COLUMNS), row.phase)
    return table
