"""The report page of a caption selection. In: its facts, as `services.trainer.captions.report` gives them.

Out: one self-contained HTML file: counts, the frequency curve before and after, phrases, refusals, examples.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from comd.report.line_chart import Axis, line_chart
from comd.report.thumbnails import thumbnail

Facts = Mapping[str, Any]

TITLE = "Caption selection"
COUNTS = {
    "pairs_read": "pairs read",
    "refused": "refused",
    "duplicates": "duplicates",
    "pairs_in": "pairs in",
    "phrases": "phrases",
    "phrases_kept": "phrases kept",
    "pairs_out": "pairs out",
}


def render(facts: Facts, images: Path | None) -> str:
    """The page as text; pictures of the examples come from the folder `images`, where there is one."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    templates.filters["whole"] = lambda number: f"{number:,}"
    settings = facts["settings"]
    return templates.get_template("captions.html.jinja").render(
        facts=facts,
        title=TITLE,
        subtitle=", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items()),
        counts={name: facts[key] for key, name in COUNTS.items()},
        story=story(facts),
        chart=Markup(chart(facts)),
        examples=[
            {**example, "picture": _thumbnail(images, example["image"])} for example in facts["examples"]
        ],
    )


def story(facts: Facts) -> list[str]:
    """What was done, in sentences."""
    settings, pairs = facts["settings"], facts["pairs_in"] or 1
    skipped = facts["phrases"] - facts["phrases_kept"]
    return [
        f"Of {facts['pairs_in']:,} pairs {facts['pairs_out']:,} were selected ({facts['pairs_out'] / pairs:.1%}). "
        f"{facts['refused']:,} could not be used and {facts['duplicates']:,} had an id that was there before.",
        f"{skipped:,} of {facts['phrases']:,} noun phrases are in fewer than {settings['min_frequency']} captions "
        f"and choose nothing. Each of the other {facts['phrases_kept']:,} chooses all captions that contain it, or "
        f"{settings['cap']:,} of them where there are more.",
    ]


def chart(facts: Facts) -> str:
    """Frequency by rank, before and after, both axes logarithmic."""
    lines = {
        name: [(float(rank), float(count)) for rank, count in curve] for name, curve in facts["curve"].items()
    }
    return line_chart(lines, Axis("rank of the phrase", log=True), Axis("captions", log=True), "")


def _thumbnail(images: Path | None, name: str) -> str | None:
    """The picture as a small `data:` URL; None where it cannot be shown."""
    if images is None:
        return None
    try:
        return thumbnail((images / name).read_bytes())
    except (OSError, ValueError):  # no such file, or no such name
        return None
