"""`comd run log | failures` and `comd log`: what happened and what did not, and why."""

from collections import Counter
from typing import Annotated

import typer

from comd import run_log
from comd.commands.connection import AsJson, RunName, connect, find_run
from comd.commands.printing import print_list
from services.coordinator.states import Phase


def log(name: RunName, as_json: AsJson = False) -> None:
    """Tell every change of a run's state with its time and cause, the oldest first."""
    with connect() as client:
        entries = client.runs.log(find_run(client, name).id)
        if as_json:
            print_list(entries)
            return
        for entry in entries:
            print(run_log.line(entry))


def whole_log(as_json: AsJson = False) -> None:
    """Tell the changes of all runs and of the system itself, the oldest first."""
    with connect() as client:
        if as_json:
            print_list(client.log())
            return
        for entry in client.log():
            print(f"{entry.run_id or '-':16}  {run_log.line(entry)}")


def failures(
    name: RunName,
    iteration: Annotated[
        int | None, typer.Option(min=0, help="Only of this iteration.", show_default="all")
    ] = None,
    phase: Annotated[
        Phase | None,
        typer.Option(help="Only of this phase.", show_default="all"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List what failed for good, and why; `comd run retry` asks again what failed in the present phase."""
    with connect() as client:
        rows = client.runs.failures(find_run(client, name).id, iteration, phase)
        if as_json:
            print_list(rows)
            return
        where = Counter[tuple[int, str]]()
        for row in rows:
            print(run_log.failure_line(row))
            where[row.iteration, row.phase] += 1
    for (number, of_phase), num in sorted(where.items()):
        print(f"iteration {number}, {of_phase}: {num:,} failed calls")
    if not where:
        print("nothing failed")
