"""What a figure shows, apart from how it is drawn: panels of lines or bars with named axes, and its numbers.

The page draws them as SVG in the page's colours, `drawing.py` for print.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Point = tuple[float, float]
Cell = str | int | float | None


@dataclass(frozen=True)
class Panel:
    """One pair of axes. Lines where `lines` has any, else bars: a value of each series for each slot."""

    x: str
    y: str
    title: str = ""
    lines: Mapping[str, Sequence[Point]] = field(default_factory=dict)
    main: str | None = None  # the line that stands out
    intervals: Sequence[tuple[float, float, float]] = ()  # of the main line: x, low, high
    at: Sequence[float] = ()  # ticks of x, where the drawing is not to choose them
    top: float | None = None  # of y
    from_zero: bool = True  # y begins there; else where the values do
    slots: Sequence[str] = ()
    bars: Mapping[str, Sequence[float]] = field(default_factory=dict)
    stacked: bool = False
    mark: tuple[float, str] | None = None  # a dashed line at that share of the width, and its name


@dataclass(frozen=True)
class Figure:
    """`name` is that of its files; `rows` are the numbers behind it, a value of `columns` each."""

    name: str
    title: str
    panels: Sequence[Panel]
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
