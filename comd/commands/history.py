"""`comd run log | failures`: what happened to a run and what did not, and why."""

import json
from collections import Counter
from typing import Annotated

import typer
from rich.console import Console

from comd import run_log
from comd.commands.connection import AsJson, RunName, connect


def log(name: RunName, as_json: AsJson = False) -> None:
    """Every change of the run's state with its time and cause, the oldest first."""
    with connect() as coordinator:
        entries = list(coordinator.log(coordinator.find_run(name)["id"]))
    if as_json:
        print(json.dumps(entries))
        return
    console = Console()
    for entry in entries:
        console.print(run_log.line(entry), highlight=False, soft_wrap=True, markup=False)


def failures(
    name: RunName,
    iteration: Annotated[int | None, typer.Option(min=0, help="default: all")] = None,
    phase: Annotated[str | None, typer.Option(help="teaching, evaluating, assessing or augmenting")] = None,
    as_json: AsJson = False,
) -> None:
    """What failed for good, with its reason; `comd run retry` asks again what failed in the present phase."""
    with connect() as coordinator:
        run_id = coordinator.find_run(name)["id"]
        rows = list(coordinator.failures(run_id, iteration=iteration, phase=phase))
    if as_json:
        print(json.dumps(rows))
        return
    console = Console()
    for row in rows:
        console.print(run_log.failure_line(row), highlight=False, soft_wrap=True, markup=False)
    where = Counter((row["iteration"], row["phase"]) for row in rows)
    for (number, of_phase), num in sorted(where.items()):
        console.print(f"iteration {number}, {of_phase}: {num:,} failed calls", highlight=False)
    if not rows:
        console.print("nothing failed")
