"""Figures for print with matplotlib. In: a Figure and a folder. Out: NAME.png (300 dpi) and NAME.svg.

The same numbers give the same bytes. Colours are Okabe and Ito's, told apart by colour-blind eyes; in grey, lines
differ by dashes and markers and bars by hatches. Letters are embedded as outlines.
"""

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from comd.report.figure import Figure, Panel
from comd.report.wording import label
from shared.errors import ConfigError

SINGLE, DOUBLE = 3.3, 6.8  # inches: one column of a paper, and two
PANEL_HEIGHT, DPI = 2.2, 300
MOST_ACROSS = 4
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#666666")
DASHES = ("-", "--", "-.", ":")
MARKERS = "osD^vPX"
HATCHES = ("", "////", "xxxx", "\\\\\\\\", "----", "++++", "||||")
MOST_NAMES = 8  # in one legend
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.4,
    "legend.frameon": False,
    "legend.fontsize": 6,
    "lines.linewidth": 0.9,
    "lines.markersize": 2.5,
    "text.parse_math": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "comd",
}


def require_matplotlib() -> None:
    """ConfigError where it is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError("figures need matplotlib, which is not installed: pip install 'comd[report]'")


def draw(figure: Figure, folder: Path) -> list[Path]:
    """The files that were written."""
    across = min(len(figure.panels), MOST_ACROSS)
    down = -(-len(figure.panels) // MOST_ACROSS)
    with sheet(folder / figure.name, down, across) as axes:
        for panel, place in zip(figure.panels, axes, strict=False):
            _draw_panel(panel, place)
        for place in axes[len(figure.panels) :]:
            place.set_axis_off()
    return [folder / f"{figure.name}.png", folder / f"{figure.name}.svg"]


@contextmanager
def sheet(path: Path, down: int, across: int) -> Iterator[Any]:
    """Axes to draw on, row by row; on leaving they are written as `path`.png and .svg."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **STYLE}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a letter that the font lacks is shown as a box
        drawing = Drawing(
            (DOUBLE if across > 1 else SINGLE, PANEL_HEIGHT * down), dpi=DPI, layout="constrained"
        )
        FigureCanvasAgg(drawing)
        yield drawing.subplots(down, across, squeeze=False).flatten()
        drawing.savefig(path.with_name(f"{path.name}.png"), metadata={"Software": None})
        drawing.savefig(path.with_name(f"{path.name}.svg"), metadata={"Date": None, "Creator": None})


def _draw_panel(panel: Panel, axes: Any) -> None:
    if panel.lines:
        _draw_lines(panel, axes)
    else:
        _draw_bars(panel, axes)
    axes.set(xlabel=panel.x, ylabel=panel.y, title=panel.title)
    axes.set_ylim(bottom=0 if panel.from_zero else None, top=panel.top)
    names = panel.lines or panel.bars
    if 1 < len(names) <= MOST_NAMES:
        axes.legend(loc="best" if panel.lines else "upper center", ncols=2 if len(names) > 3 else 1)
    if len(names) > 1 and panel.bars:  # room above the bars for their names
        num_lines = len(names) if len(names) <= 3 else -(-len(names) // 2)
        axes.set_ylim(top=axes.get_ylim()[1] * (1.1 + 0.09 * num_lines))


def _draw_lines(panel: Panel, axes: Any) -> None:
    for index, (name, points) in enumerate(panel.lines.items()):
        main = name == panel.main
        axes.plot(
            *zip(*points, strict=True),
            label=name,
            color="black" if main else COLOURS[index % len(COLOURS)],
            linestyle="-" if main else DASHES[index % len(DASHES)],
            linewidth=2.0 if main else 0.9,
            marker=MARKERS[index % len(MARKERS)] if panel.at else None,
            zorder=3 if main else 2,
            clip_on=False,  # a marker at 1.0 is whole
        )
    for at, low, high in panel.intervals:
        axes.plot((at, at), (low, high), color="black", linewidth=0.6, marker="_", markersize=4, zorder=2)
    if panel.at:
        axes.set_xticks(list(panel.at), [f"{at:g}" for at in panel.at])


def _draw_bars(panel: Panel, axes: Any) -> None:
    slots = range(len(panel.slots))
    width = 0.8 if panel.stacked else 0.8 / max(len(panel.bars), 1)
    below = [0.0] * len(panel.slots)
    for index, (name, values) in enumerate(panel.bars.items()):
        shift = 0.0 if panel.stacked else (index - (len(panel.bars) - 1) / 2) * width
        axes.bar(
            [slot + shift for slot in slots],
            values,
            width,
            bottom=below if panel.stacked else None,
            label=name,
            color=COLOURS[index % len(COLOURS)],
            hatch=HATCHES[index % len(HATCHES)],
            edgecolor="white",
            linewidth=0.3,
        )
        below = [under + value for under, value in zip(below, values, strict=True)]
    axes.set_xticks(list(slots), [label(slot, 10) for slot in panel.slots])
    if panel.mark is not None:
        share, name = panel.mark
        at = share * len(panel.slots) - 0.5
        axes.axvline(at, color="black", linestyle="--", linewidth=0.8)
        place = axes.get_xaxis_transform()  # x in data, y as a share of the height
        axes.text(at, 0.98, f" {name}", transform=place, va="top", fontsize=6)
