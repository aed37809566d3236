"""Lines over two axes, each linear or logarithmic, as SVG. In: points. Out: a chart for a page, or one for itself.

Colours are CSS classes: the page's `style.css` has them for light and dark, a chart for itself brings its own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from comd.report.svg import Place, drawing, label, line, polyline

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 20, 30, 44
MOST_TICKS = 6
COLOURS = 6  # in the style sheet
ALONE = (
    "<style>svg{background:#fff;font-family:system-ui,sans-serif}text{fill:#5d6878;font-size:12px}"
    "polyline{fill:none;stroke-width:2}.grid{stroke:#e2e0d8}.line-0{stroke:#c2571a}.line-1{stroke:#0b6e69}"
    "text.line-0{fill:#c2571a;stroke:none}text.line-1{fill:#0b6e69;stroke:none}.chart-title{fill:#1c2430}</style>"
)


@dataclass(frozen=True)
class Axis:
    """`ticks` where the chart is not to choose them."""

    name: str
    log: bool = False
    from_zero: bool = True
    ticks: Sequence[float] = ()


def line_chart(
    lines: Mapping[str, Sequence[Place]],
    x: Axis,
    y: Axis,
    title: str,
    alone: bool = False,
    intervals: Sequence[tuple[float, float, float]] = (),
) -> str:
    """The chart; on a logarithmic axis every value must be above 0. `alone`: it is to stand in a file of its own.

    `intervals`, of the first line: x, low, high.
    """
    points = [point for drawn in lines.values() for point in drawn]
    points += [(at, end) for at, *ends in intervals for end in ends]
    across = _Scale.over([at for at, _ in points], x, LEFT, WIDTH - RIGHT)
    up = _Scale.over([height for _, height in points], y, HEIGHT - BOTTOM, TOP)
    parts = [ALONE] if alone else []
    for value in up.ticks():
        at = up.place(value)
        parts.append(line((LEFT, at), (WIDTH - RIGHT, at), "grid"))
        parts.append(label(LEFT - 8, at + 4, short(value), "end"))
    parts += [
        label(across.place(value), HEIGHT - 26, short(value), "middle") for value in x.ticks or across.ticks()
    ]
    parts += [label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x.name, "middle"), label(4, 14, y.name, "start")]
    parts.append(label((LEFT + WIDTH - RIGHT) / 2, 14, title, "middle", "chart-title"))
    # where lines of that kind seldom are: losses fall, scores rise
    names_at = TOP + 14 if y.from_zero else HEIGHT - BOTTOM - 14 * len(lines)
    for number, (name, drawn) in enumerate(lines.items()):
        parts.append(
            polyline([(across.place(a), up.place(b)) for a, b in drawn], f"line line-{number % COLOURS}")
        )
        parts.append(
            label(WIDTH - RIGHT, names_at + 14 * number, name, "end", f"line-name line-{number % COLOURS}")
        )
    for at, low, high in intervals:
        parts.append(line((across.place(at), up.place(low)), (across.place(at), up.place(high)), "interval"))
    return drawing(WIDTH, HEIGHT, parts, title)


def short(value: float) -> str:
    """A number as an axis has room for: 1, 0.05, 30k, 2M."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{sign}"
    return f"{value:g}"


@dataclass(frozen=True)
class _Scale:
    """From values to places; `first` and `last` are powers of ten where the axis is logarithmic."""

    log: bool
    first: float
    last: float
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], axis: Axis, start: float, end: float) -> "_Scale":
        low, high = (min(values), max(values)) if values else (1.0, 1.0)
        if axis.log:
            first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
            return cls(True, first, max(last, first + 1), start, end)
        low = min(low, 0.0) if axis.from_zero else low
        step = _step(high - low)
        return cls(False, math.floor(low / step) * step, math.ceil(high / step) * step, start, end)

    def place(self, value: float) -> float:
        along = math.log10(value) if self.log else value
        return self.start + (along - self.first) / ((self.last - self.first) or 1) * (self.end - self.start)

    def ticks(self) -> list[float]:
        if self.log:
            return [10.0**power for power in range(int(self.first), int(self.last) + 1)]
        step = _step(self.last - self.first)
        first = math.ceil(self.first / step) * step
        return [first + step * number for number in range(math.floor((self.last - first) / step + 1e-9) + 1)]


def _step(span: float) -> float:
    """1, 2 or 5 times a power of ten, so that few ticks cover the span."""
    if span <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(span / MOST_TICKS))
    return next(size * power for size in (1, 2, 5, 10) if span / (size * power) <= MOST_TICKS)


def smoothed(points: Sequence[Place], most: int) -> list[Place]:
    """At most so many points: each the mean of its neighbours', where there are more."""
    size = math.ceil(len(points) / most) if points else 1
    cuts = [*range(0, len(points), size), len(points)]
    groups = [points[start:end] for start, end in pairwise(cuts)]
    return [(group[-1][0], sum(height for _, height in group) / len(group)) for group in groups]
