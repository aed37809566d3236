"""What the demo leaves: `summary.json`, `report.html`, and on the terminal the table, examples and next steps."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from comd.demo.folder import DemoFolder
from comd.report.material import Material, Report
from comd.report.page import render
from comd.report.story import COLUMNS
from comd.summary_table import summary_table

Json = dict[str, Any]
SHOWN_EXAMPLES = 3
TITLE = "A student learns from its own weaknesses"
SUBTITLE = (
    "CoMD demo: a tiny LLaVA-form student, trained with DeepSpeed, in a world of coloured shapes. "
    "Teacher, judge and augmentor are a scripted engine that sees the pictures' pixels, not a neural model."
)
NEXT_COMMANDS = (  # after `make demo`
    "make demo DEMO_FLAGS='--seed 1'      # another world, another student",
    "COMD_HOME=runs/demo/stack make up UP_FLAGS='--config examples/demo_stack.toml'  # the dashboard with this run",
    "make up                              # the stack alone, for your own engines and data",
    ".venv/bin/comd --help                # import data, start, watch and pause runs",
    "README.md, 'Your own data and models' # what a run of your own needs",
)


def summary(report: Report) -> Json:
    """The report's numbers in the form of `summary.json`."""
    iterations = [
        {**{key: iteration.get(key) for key in COLUMNS}, "seconds": iteration["seconds"]}
        for iteration in report["iterations"]
        if iteration["number"] > 0
    ]
    return {
        "start_accuracy": report["start_accuracy"],
        "iterations": iterations,
        "final_accuracy": report["final_accuracy"],
    }


def write_result(folder: DemoFolder, given: Material, next_commands: Sequence[str] = NEXT_COMMANDS) -> None:
    folder.summary.write_text(json.dumps(summary(given.report), indent=2) + "\n")
    page = render(given, TITLE, f"{SUBTITLE} Seed {folder.seed}.", next_commands)
    folder.report.write_text(page, encoding="utf-8")


def show_result(
    console: Console,
    report: Report,
    place_of: Callable[[str], str],
    files: str,
    next_commands: Sequence[str] = NEXT_COMMANDS,
) -> None:
    """The end of the demo as a person sees it; `place_of` says where a picture is, `files` where the report is."""
    console.print()
    console.print(summary_table([iteration for iteration in report["iterations"] if iteration["number"] > 0]))
    for example in report["examples"][:SHOWN_EXAMPLES]:
        _show_example(console, example, place_of(example["image"]))
    console.print(
        f"\nHeld-out accuracy: {report['start_accuracy']:.3f} before, [bold]{report['final_accuracy']:.3f}[/] after."
    )
    console.print(files, highlight=False, soft_wrap=True)
    console.print("\nTry next:")
    for command in next_commands:
        console.print(f"  {command}", highlight=False, markup=False, soft_wrap=True)


def _show_example(console: Console, example: Json, place: str) -> None:
    console.print(f"\n[bold]{escape(example['instruction'])}[/]  ({place})", soft_wrap=True)
    said = [
        ("teacher", example["teacher_answer"]),
        (f"student, iteration {example['iteration']}", example["student_before"]),
    ]
    if example.get("student_after") is not None:
        said.append((f"student, iteration {example['after_iteration']}", example["student_after"]))
    for run in example["runs"]:
        scores = f"teacher {run['teacher_score']:g}, student {run['student_score']:g}"
        said.append((f"judge, {run['order'].replace('_', ' ')}", f"{scores}: {run['evidence']}"))
    if example.get("new_question"):
        said.append(("new question born of it", example["new_question"]))
    for who, text in said:
        console.print(f"  {who}: [dim]{escape(text)}[/]", highlight=False, soft_wrap=True)
