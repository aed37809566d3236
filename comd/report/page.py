"""The report page of a run: one self-contained HTML file with pictures, curve, histograms and examples."""

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from comd.report import story
from comd.report.charts import accuracy_curve, histogram
from shared.images import media_type

Report = Mapping[str, Any]
ReadPicture = Callable[[str], bytes]

SCORE_BINS = [str(score) for score in range(1, 11)]
DIFFICULTY_BINS = [f".{tenth}" for tenth in range(10)]


def render(
    report: Report, read_picture: ReadPicture, title: str, subtitle: str, next_commands: Sequence[str]
) -> str:
    """The page as text. `read_picture` gives the bytes of a picture by its sha256."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    templates.filters["share"] = lambda value: "-" if value is None else f"{value:.2f}"
    iterations = report["iterations"]
    return templates.get_template("page.html.jinja").render(
        report=report,
        title=title,
        subtitle=subtitle,
        num_trainings=sum(iteration["number"] > 0 for iteration in iterations),
        curve=Markup(_curve(iterations)),
        story=_story(iterations),
        columns=list(story.COLUMNS.values()),
        phases=story.PHASES,
        rows=story.rows(iterations),
        histograms=[Markup(chart) for chart in _histograms(iterations, report["tau"])],
        tau=report["tau"],
        examples=[_with_picture(example, read_picture) for example in report["examples"]],
        next_commands=next_commands,
    )


def _curve(iterations: Sequence[story.Iteration]) -> str:
    measured = [iteration for iteration in iterations if iteration.get("heldout_accuracy") is not None]
    main = [(float(iteration["number"]), float(iteration["heldout_accuracy"])) for iteration in measured]
    kinds = sorted({kind for iteration in measured for kind in iteration.get("heldout_by_kind") or {}})
    others = {
        kind: [(float(i["number"]), float(i["heldout_by_kind"][kind])) for i in measured] for kind in kinds
    }
    return accuracy_curve(main, others)


def _story(iterations: Sequence[story.Iteration]) -> list[str]:
    before = [None, *iterations]
    return [" ".join(story.tell(now, then)) for now, then in zip(iterations, before, strict=False)]


def _histograms(iterations: Sequence[story.Iteration], tau: float) -> list[str]:
    charts = []
    for iteration in iterations:
        if scores := iteration.get("score_histogram"):
            charts.append(histogram(scores, SCORE_BINS, title=f"iteration {iteration['number']}: scores"))
        if bins := iteration.get("difficulty_histogram"):
            title = f"iteration {iteration['number']}: difficulty"
            charts.append(histogram({"instructions": bins}, DIFFICULTY_BINS, mark=tau, title=title))
    return charts


def _with_picture(example: Mapping[str, Any], read_picture: ReadPicture) -> dict[str, Any]:
    sha256 = example.get("image")
    if not sha256:
        return {**example, "picture": None, "picture_name": "text only"}
    data = read_picture(sha256)
    url = f"data:{media_type(data)};base64,{base64.b64encode(data).decode()}"
    return {**example, "picture": url, "picture_name": example.get("picture_name") or sha256[:16]}
