"""A run's numbers as files. In: the coordinator's report. Out: CSV with plain column names, and a LaTeX table."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from comd.report import story
from comd.report.figure import Cell
from shared.document_text import csv_cell, latex

Report = Mapping[str, Any]
COUNTS = (*story.COLUMNS, "dropped")
USED = ("items", "calls", "prompt_tokens", "cached_tokens", "completion_tokens", "seconds", "cost")
FAILURES = ("iteration", "phase", "image", "instruction_id", "text", "reason", "attempts")
PRINTED = {  # the paper's quantities, by column
    "number": "iteration",
    "tuning_pool": "tuning pool",
    "cache_pool": "cache pool",
    "difficult": "difficult",
    "easy": "easy",
    "accepted": "accepted",
    "rejected": "rejected",
    "unjudged": "unjudged",
    "mean_difficulty": "mean difficulty",
    "train_loss": "loss",
    "heldout_accuracy": "accuracy",
}


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(columns)
        out.writerows([csv_cell(value) for value in row] for row in rows)


def iterations(report: Report) -> tuple[Sequence[str], list[list[Cell]]]:
    """A row an iteration: its counts, the seconds of each phase, what it spent."""
    phases = list(dict.fromkeys(phase for row in report["iterations"] for phase in row["seconds"] or {}))
    rows = [
        [
            *(row.get(key) for key in COUNTS),
            *((row["seconds"] or {}).get(phase) for phase in phases),
            (row.get("usage") or {}).get("spent"),
        ]
        for row in report["iterations"]
    ]
    return (*COUNTS, *(f"seconds_{phase}" for phase in phases), "spent"), rows


def usage(report: Report) -> tuple[Sequence[str], list[list[Cell]]]:
    """A row an iteration and role."""
    rows: list[list[Cell]] = []
    for iteration in report["iterations"]:
        used = iteration.get("usage") or {"by_role": {}}
        for role, sums in used["by_role"].items():
            rows.append([iteration["number"], role, *(sums[key] for key in USED), used["currency"]])
    return ("iteration", "role", *USED, "currency"), rows


def failures(found: Iterable[Mapping[str, Any]]) -> Iterable[list[Cell]]:
    """A row for each call that failed for good."""
    return ([row.get(key) for key in FAILURES] for row in found)


def latex_table(report: Report) -> str:
    """The iterations for a paper, with booktabs; columns of which nothing is known are left out."""
    rows = report["iterations"]
    known = [key for key in PRINTED if key == "number" or any(row.get(key) is not None for row in rows)]
    heads = " & ".join(f"\\textbf{{{PRINTED[key]}}}" for key in known)
    body = [" & ".join(_printed(row.get(key)) for key in known) + r" \\" for row in rows]
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex(report['run']['name'])}: the iterations of the run.}}",
            rf"\begin{{tabular}}{{{'r' * len(known)}}}",
            r"\toprule",
            heads + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _printed(value: float | None) -> str:
    if value is None:
        return "--"
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}".replace(",", "{,}")
