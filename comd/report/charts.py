"""Small charts as inline SVG: a line chart of shares by iteration, and a histogram. In: numbers. Out: SVG text.

Colours are CSS custom properties of the page, so that one chart serves light and dark.
"""

from collections.abc import Mapping, Sequence
from html import escape

from comd.report.svg import drawing, label, line, polyline

Point = tuple[float, float]  # iteration number, share in [0, 1]

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 44, 130, 24, 34
KINDS, SERIES = 6, 7  # colours in the style sheet


def accuracy_curve(main: Sequence[Point], others: Mapping[str, Sequence[Point]]) -> str:
    """The mean as a thick line with its values, each kind of question as a thin one with its name at its end."""
    numbers = [number for number, _ in main]
    first, last = (min(numbers), max(numbers)) if numbers else (0.0, 1.0)

    def x(number: float) -> float:
        return LEFT + (number - first) / ((last - first) or 1) * (WIDTH - LEFT - RIGHT)

    def y(share: float) -> float:
        return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)

    parts = [_gridline(y(share), f"{share:.0%}") for share in (0, 0.25, 0.5, 0.75, 1)]
    parts += [label(x(number), HEIGHT - 12, _iteration_name(number), "middle") for number in numbers]
    ends = _spread([(y(points[-1][1]), name) for name, points in others.items() if points])
    for index, (name, points) in enumerate(sorted(others.items())):
        parts.append(polyline([(x(a), y(b)) for a, b in points], f"kind kind-{index % KINDS}"))
        if name in ends:
            parts.append(
                label(x(last) + 26, ends[name] + 4, name, "start", f"kind-name kind-{index % KINDS}")
            )
    parts.append(polyline([(x(a), y(b)) for a, b in main], "mean"))
    for number, share in main:
        parts.append(f'<circle class="mean" cx="{x(number):.1f}" cy="{y(share):.1f}" r="4"/>')
        parts.append(label(x(number), y(share) - 10, f"{share:.2f}", "middle", "value"))
    return drawing(WIDTH, HEIGHT, parts, "held-out accuracy by iteration")


def histogram(
    series: Mapping[str, Sequence[float]],
    labels: Sequence[str],
    mark: float | None = None,
    title: str = "",
    stacked: bool = False,
) -> str:
    """Bars for each bin, side by side or stacked; `mark` draws a dashed line at that share of the width."""
    width, height, left, bottom, top = 300, 150, 8, 22, 30
    columns = zip(*series.values(), strict=True)
    highest = max((sum(column) if stacked else max(column) for column in columns), default=0) or 1
    slot = (width - 2 * left) / max(len(labels), 1)
    bar = slot * 0.8 / (1 if stacked else max(len(series), 1))
    floor = [float(height - bottom)] * len(labels)
    parts = [
        label(left, 12, title, "start", "chart-title"),
        label(width - left, 12, f"{highest:,.5g}", "end"),
    ]
    for index, (name, values) in enumerate(series.items()):
        for position, value in enumerate(values):
            size = value / highest * (height - top - bottom)
            at = left + position * slot + slot * 0.1 + (0 if stacked else index * bar)
            parts.append(
                f'<rect class="series-{index % SERIES}" x="{at:.1f}" y="{floor[position] - size:.1f}" '
                f'width="{bar:.1f}" height="{size:.1f}">'
                f"<title>{escape(name)} {escape(labels[position])}: {value:,g}</title></rect>"
            )
            floor[position] -= size if stacked else 0
    parts += [label(left + (i + 0.5) * slot, height - 8, text, "middle") for i, text in enumerate(labels)]
    if mark is not None:
        at = left + mark * (width - 2 * left)
        parts.append(line((at, top - 4), (at, height - bottom), "mark"))
    return drawing(width, height, parts, title)


def _iteration_name(number: float) -> str:
    return "before" if number == 0 else f"iteration {number:g}"


def _spread(ends: list[tuple[float, str]], gap: float = 14) -> dict[str, float]:
    """Heights for the names at the lines' ends, pushed apart so that none covers another."""
    placed: dict[str, float] = {}
    lowest = -gap
    for height, name in sorted(ends):
        lowest = max(height, lowest + gap)
        placed[name] = lowest
    overflow = max(0.0, lowest - (HEIGHT - BOTTOM))
    return {name: height - overflow for name, height in placed.items()}


def _gridline(y: float, text: str) -> str:
    return line((LEFT, y), (WIDTH - RIGHT, y), "grid") + label(LEFT - 8, y + 4, text, "end")
