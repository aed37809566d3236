"""The table of a run: one row per iteration. In: iterations as the coordinator reports them. Out: a Rich table."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from comd.report import story

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


def summary_table(iterations: Sequence[Mapping[str, Any]]) -> Table:
    """The seconds of the phases stand in one column."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0, header_style="bold", caption_justify="left")
    for key, name in story.COLUMNS.items():
        table.add_column(SHORT.get(key, name), justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.caption = f"seconds: {' / '.join(story.PHASES)}"
    num_counts = len(story.COLUMNS)
    for row in story.rows(iterations):
        table.add_row(*row[:num_counts], "/".join(row[num_counts:]))
    return table
