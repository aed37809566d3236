"""Charts as shapes with places, which a template draws as SVG. Pure. In: numbers. Out: a Chart.

Colours are classes of the style sheet, so that one chart serves light and dark; every shape says its numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

LEFT, RIGHT, TOP, BOTTOM = 46.0, 10.0, 12.0, 26.0
BAR_SHARE = 0.72  # of a slot


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    style: str
    tip: str


@dataclass(frozen=True)
class Label:
    x: float
    y: float
    text: str
    anchor: str


@dataclass(frozen=True)
class Line:
    points: tuple[tuple[float, float], ...]
    style: str
    tips: tuple[str, ...]  # none: a line without dots


@dataclass(frozen=True)
class Chart:
    """`summary` is what a screen reader says of it."""

    title: str
    summary: str
    width: float
    height: float
    rules: Sequence[float] = ()  # heights of the grid's lines
    bars: Sequence[Bar] = ()
    lines: Sequence[Line] = ()
    labels: Sequence[Label] = ()
    mark: float | None = None  # where a dashed line stands
    borders: Sequence[float] = ()  # where thin lines part one section from the next
    legend: Mapping[str, str] = field(default_factory=dict)  # style -> name


Series = Mapping[str, Sequence[float | None]]  # name -> a value for each label, None where there is none


def bars(
    title: str,
    series: Series,
    labels: Sequence[str],
    *,
    stacked: bool = False,
    mark: float | None = None,
    size: tuple[float, float] = (460, 210),
) -> Chart:
    """Bars for each label, beside or upon one another; `mark` is a share of the width."""
    width, height = size
    sums = [sum(_number(values[at]) for values in series.values()) for at in range(len(labels))]
    highest = max(
        sums if stacked else [_number(value) for values in series.values() for value in values], default=0
    )
    top, ticks = scale(highest)
    slot = (width - LEFT - RIGHT) / max(len(labels), 1)
    thick = min(slot * BAR_SHARE / (1 if stacked else max(len(series), 1)), 56)
    made, below = [], [0.0] * len(labels)
    for index, (name, values) in enumerate(series.items()):
        for at, label in enumerate(labels):
            value = _number(values[at])
            if value == 0:
                continue
            tall = value / top * (height - TOP - BOTTOM)
            group = thick * (1 if stacked else len(series))
            x = LEFT + (at + 0.5) * slot - group / 2 + (0 if stacked else index * thick)
            y = height - BOTTOM - tall - (below[at] if stacked else 0)
            below[at] += tall
            made.append(Bar(x, y, thick, tall, f"series-{index}", f"{label}, {name}: {value:,.0f}"))
    return Chart(
        title,
        _summary(series, labels),
        width,
        height,
        rules=[place_of(tick, top, height) for tick in ticks],
        bars=made,
        labels=[*heights(ticks, top, height, "count"), *_along(labels, slot, height)],
        mark=None if mark is None else LEFT + mark * (width - LEFT - RIGHT),
        legend=_legend(series),
    )


def lines(
    title: str,
    series: Series,
    labels: Sequence[str],
    *,
    unit: str = "number",
    most: float | None = None,
    size: tuple[float, float] = (460, 210),
) -> Chart:
    """A line for each series through its values; the first is the thick one."""
    width, height = size
    top, ticks = scale(
        most or max((value for values in series.values() for value in values if value), default=0)
    )
    slot = (width - LEFT - RIGHT) / max(len(labels), 1)
    made = []
    for index, (name, values) in enumerate(series.items()):
        known = [(at, value) for at, value in enumerate(values) if value is not None]
        points = tuple((LEFT + (at + 0.5) * slot, place_of(value, top, height)) for at, value in known)
        tips = tuple(f"{labels[at]}, {name}: {_shown(value, unit)}" for at, value in known)
        made.append(Line(points, f"series-{index % 8}", tips))
    return Chart(
        title,
        _summary(series, labels, unit),
        width,
        height,
        rules=[place_of(tick, top, height) for tick in ticks],
        lines=made[::-1],  # the first lies on top
        labels=[*heights(ticks, top, height, unit), *_along(labels, slot, height)],
        legend=_legend(series),
    )


def scale(highest: float) -> tuple[float, list[float]]:
    """A round top that is not below, and where the grid's lines stand."""
    if highest <= 0:
        return 1.0, [0.0, 1.0]
    step = 10.0 ** len(str(int(highest))) / 10 if highest >= 1 else 0.1
    while highest / step < 1:
        step /= 10
    for share in (0.2, 0.25, 0.5, 1, 2, 2.5, 5):
        if highest / (step * share) <= 5:
            step *= share
            break
    num = -int(-highest // step)
    return num * step, [at * step for at in range(num + 1)]


def _number(value: float | None) -> float:
    return value or 0.0


def place_of(value: float, top: float, height: float) -> float:
    return height - BOTTOM - value / top * (height - TOP - BOTTOM)


def _shown(value: float, unit: str) -> str:
    if unit == "share":
        return f"{100 * value:.1f} %"
    return f"{value:,.0f}" if unit == "count" else f"{value:.3f}"


def heights(ticks: Sequence[float], top: float, height: float, unit: str) -> list[Label]:
    return [Label(LEFT - 8, place_of(tick, top, height) + 4, tick_text(tick, unit), "end") for tick in ticks]


def tick_text(value: float, unit: str) -> str:
    if unit == "share":
        return f"{100 * value:.0f} %"
    if value >= 1_000_000:
        return f"{value / 1_000_000:g}M"
    if 0 < value < 0.01:  # learning rates: 1.5e-3 has room where 0.0015 has none
        digits, power = f"{value:e}".split("e")
        return f"{float(digits):g}e{int(power)}"
    return f"{value / 1000:g}K" if value >= 10_000 else f"{value:g}"


def _along(labels: Sequence[str], slot: float, height: float) -> list[Label]:
    every = -(-len(labels) // max(1, int(len(labels) * slot // 34)))  # so many as have room
    return [
        Label(LEFT + (at + 0.5) * slot, height - 8, text, "middle")
        for at, text in enumerate(labels)
        if at % every == 0
    ]


def _legend(series: Series) -> dict[str, str]:
    return {f"series-{index % 8}": name for index, name in enumerate(series)} if len(series) > 1 else {}


def _summary(series: Series, labels: Sequence[str], unit: str = "count") -> str:
    parts = []
    for name, values in series.items():
        said = ", ".join(
            f"{label} {_shown(v, unit)}" for label, v in zip(labels, values, strict=True) if v is not None
        )
        parts.append(f"{name}: {said}")
    return "; ".join(parts)[:2000]
