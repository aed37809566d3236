"""The report page of a run: one self-contained HTML file with pictures, curves, histograms, examples and settings.

The demo writes it, and `comd report` beside its figures. It needs no matplotlib.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from comd.report import story
from comd.report.benchmarks import page_tables
from comd.report.charts import accuracy_curve, histogram
from comd.report.figure import Figure, Panel
from comd.report.figures import ALL, figures
from comd.report.line_chart import Axis, line_chart, smoothed
from comd.report.material import Material, ReadPicture, Report
from comd.report.thumbnails import data_url
from comd.report.wording import label, shortened
from shared.errors import ComdError

MOST_POINTS = 400  # of a curve on the page
PACKAGES = ("comd", "matplotlib")


def render(given: Material, title: str, subtitle: str, next_commands: Sequence[str] = ()) -> str:
    """The page as text."""
    report = given.report
    iterations = report["iterations"]
    drawn = {figure.name: figure for figure in figures(report, given.curves, given.benchmarks)}
    accuracy = drawn.pop("heldout_accuracy", None)
    return (
        _templates()
        .get_template("page.html.jinja")
        .render(
            report=report,
            title=title,
            subtitle=subtitle,
            num_trainings=sum(iteration["number"] > 0 for iteration in iterations),
            curve=None if accuracy is None else Markup(_accuracy(accuracy)),
            story=_story(report),
            columns=list(story.COLUMNS.values()),
            phases=story.PHASES,
            rows=story.rows(iterations),
            benchmarks=page_tables(given.benchmarks),
            figures=[_shown(figure) for figure in drawn.values()],
            examples=[_with_picture(example, given.read_picture) for example in report["examples"]],
            failed=story.failures(iterations),
            settings=list(_flat(report["run"]["config"])),
            versions=versions(report),
            next_commands=next_commands,
        )
    )


def versions(report: Report) -> dict[str, str]:
    """Of what made the run, and of what made the page."""
    found = {"coordinator": report["version"], "Python": python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    templates.filters["share"] = lambda value: "-" if value is None else f"{value:.2f}"
    templates.filters["shortened"] = shortened
    templates.filters["label"] = label
    return templates


def _accuracy(figure: Figure) -> str:
    lines = dict(figure.panels[0].lines)
    return accuracy_curve(lines.pop(ALL), lines)


def _shown(figure: Figure) -> dict[str, Any]:
    """A figure as the page has it: its panels drawn, and the names of the colours where there are several."""
    names = next((list(panel.bars) for panel in figure.panels if len(panel.bars) > 1), [])
    charts = [Markup(_panel(panel)) for panel in figure.panels]
    wide = any(panel.lines for panel in figure.panels)
    return {"title": figure.title, "note": figure.note, "charts": charts, "names": names, "wide": wide}


def _panel(panel: Panel) -> str:
    if panel.lines:
        lines = {name: smoothed(points, MOST_POINTS) for name, points in panel.lines.items()}
        return line_chart(
            lines,
            Axis(panel.x, ticks=panel.at),
            Axis(panel.y, from_zero=panel.from_zero),
            panel.title,
            intervals=panel.intervals,
        )
    title = f"{panel.title}: {panel.x}" if panel.title else f"{panel.y} by {panel.x}"
    mark = None if panel.mark is None else panel.mark[0]
    return histogram(panel.bars, panel.slots, mark, title, panel.stacked)


def _story(report: Report) -> list[str]:
    iterations = report["iterations"]
    told = [
        " ".join(story.tell(now, then)) for now, then in zip(iterations, [None, *iterations], strict=False)
    ]
    return [story.opening(report), *(line for line in told if line)]


def _flat(settings: Mapping[str, Any], section: str = "") -> list[tuple[str, str]]:
    """What is set, a line each: `training.batch_size`, `16`."""
    lines: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            lines += _flat(value, f"{section}{name}.")
        elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            lines += _flat({str(number): one for number, one in enumerate(value, 1)}, f"{section}{name}.")
        elif value is not None:
            lines.append((f"{section}{name}", str(value)))
    return lines


def _with_picture(example: Mapping[str, Any], read_picture: ReadPicture) -> dict[str, Any]:
    sha256 = example.get("image")
    if not sha256:
        return {**example, "picture": None, "picture_name": "text only"}
    try:
        url = data_url(read_picture(sha256))
    except ComdError:
        url = None
    return {**example, "picture": url, "picture_name": example.get("picture_name") or sha256[:16]}
