"""An ablation's tables. In: its summary. Out: Markdown for people, CSV for programs."""

import csv
from pathlib import Path

from comd.ablation.intervals import Interval
from comd.ablation.summary import Row, Step, Summary

COLUMNS = (
    *("arm", "stands_for", "seeds", "exhausted", "pool", "steps"),
    *("accuracy", "low", "high", "difference", "difference_low", "difference_high"),
)
ITERATION_COLUMNS = (
    "iteration",
    "seeds",
    "accuracy",
    "low",
    "high",
    "difference",
    "difference_low",
    "difference_high",
)


def write_tables(summary: Summary, folder: Path) -> list[Path]:
    """table.md, table.csv and iterations.csv."""
    files = [folder / name for name in ("table.md", "table.csv", "iterations.csv")]
    files[0].write_text(markdown(summary), encoding="utf-8")
    _write_csv(files[1], COLUMNS, [_arm_cells(row) for row in summary.arms])
    _write_csv(files[2], ITERATION_COLUMNS, [_step_cells(step) for step in summary.iterations])
    return files


def markdown(summary: Summary) -> str:
    """Both tables, with what their numbers are."""
    lines = [
        f"# {summary.title}",
        "",
        f"Held-out accuracy, the mean over kinds of question and over {summary.seeds} seeds, with the 95 % interval of",
        "a bootstrap over seeds and items; differences are paired on the same questions. Pool (instructions) and steps",
        "are those of a training after the first, on average.",
        "",
        "| arm | stands for | pool | steps | accuracy | minus the base |",
        "|---|---|---|---|---|---|",
        *(_arm_line(row) for row in summary.arms),
        "",
        "| base arm, training | accuracy | minus the one before |",
        "|---|---|---|",
        *(
            f"| {step.iteration} | {_shown(step.accuracy)} | {_shown(step.difference, sign='+')} |"
            for step in summary.iterations
        ),
    ]
    return "\n".join(lines) + "\n"


def _arm_line(row: Row) -> str:
    pool, steps = f"{row.pool:,.0f}", f"{row.steps:,.0f}"
    said = f"{row.stands_for}; exhausted in {row.exhausted} seeds" if row.exhausted else row.stands_for
    if row.exhausted:
        said += f", after {row.trainings[0]} to {row.trainings[1]} trainings"
    cells = (row.arm, said, pool, steps, _shown(row.accuracy), _shown(row.difference, sign="+"))
    return "| " + " | ".join(cells) + " |"


def _shown(interval: Interval | None, sign: str = "") -> str:
    if interval is None:
        return ""
    value, low, high = (f"{number:{sign}.3f}" for number in (interval.value, interval.low, interval.high))
    return f"{value} [{low}, {high}]"


def _arm_cells(row: Row) -> list[str]:
    numbers = [str(row.accuracy.seeds), str(row.exhausted), f"{row.pool:.1f}", f"{row.steps:.1f}"]
    return [row.arm, row.stands_for, *numbers, *_cells(row.accuracy), *_cells(row.difference)]


def _step_cells(step: Step) -> list[str]:
    return [str(step.iteration), str(step.accuracy.seeds), *_cells(step.accuracy), *_cells(step.difference)]


def _cells(interval: Interval | None) -> list[str]:
    numbers = (None,) * 3 if interval is None else (interval.value, interval.low, interval.high)
    return ["" if number is None else f"{number:.4f}" for number in numbers]


def _write_csv(path: Path, columns: tuple[str, ...], rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([columns, *rows])
