"""`comd run list | show | iterations | usage`: where runs stand and what they did."""

from typing import Annotated

import typer
from rich.console import Console

from comd.commands.connection import AsJson, RunName, connect, find_run
from comd.commands.printing import print_json, print_list
from comd.printable import printable
from comd.report import story
from comd.summary_table import summary_table
from comd.usage_table import usage_table
from comd.watch import because
from comd.watch_screen import curve as curve_text


def list_(as_json: AsJson = False) -> None:
    """List all runs, the newest last."""
    with connect() as client:
        runs = sorted(client.runs.list(), key=lambda run: run.created_at)
    if as_json:
        print_list(runs)
        return
    for run in runs:
        name = printable(run.name)
        print(f"{name}  {run.status}  iteration {run.iteration}  {run.phase or '-'}  {run.id}")


def show(name: RunName, as_json: AsJson = False) -> None:
    """Tell what happened in a run, iteration by iteration, what it used and how it stands."""
    with connect() as client:
        run = find_run(client, name)
        report = client.runs.report(run.id)
    if as_json:
        print_json(report)
        return
    console = Console()
    iterations = [iteration.model_dump() for iteration in report.iterations]
    for before, iteration in zip([None, *iterations], iterations, strict=False):
        for line in story.tell(iteration, before):
            console.print(printable(line), highlight=False, soft_wrap=True, markup=False)
    console.print(summary_table(iterations))
    if report.usage.by_role:
        console.print(usage_table(report.usage))
    console.print(
        f"Run {run.name} is {run.status}{because(run)}.", highlight=False, soft_wrap=True, markup=False
    )


def iterations(
    name: RunName,
    iteration: Annotated[int | None, typer.Option(min=0, help="Only this one.", show_default="all")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the numbers of a run's iterations; 0 is the measurement before the first training."""
    with connect() as client:
        run_id = find_run(client, name).id
        found = (
            [client.runs.iteration(run_id, iteration)]
            if iteration is not None
            else client.runs.iterations(run_id)
        )
    if as_json and iteration is not None:
        print_json(found[0])
    elif as_json:
        print_list(found)
    else:
        Console().print(summary_table([row.model_dump() for row in found]))


def curve(
    name: RunName,
    iteration: Annotated[
        int,
        typer.Argument(
            metavar="ITERATION", min=0, help="The iteration that was trained.", show_default=False
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Show the training loss of an iteration; with --json every step with its learning rate."""
    with connect() as client:
        points = client.runs.curve(find_run(client, name).id, iteration)
    if as_json:
        print_list(points)
    elif not points:
        print(f"iteration {iteration} has no training steps")
    else:
        drawn = curve_text([point.loss for point in points], Console())
        print(f"loss {drawn} {points[0].loss:.3f} -> {points[-1].loss:.3f}, {points[-1].step:,} steps")


def usage(name: RunName, as_json: AsJson = False) -> None:
    """Show calls, tokens, seconds and money of a run, by role."""
    with connect() as client:
        used = client.runs.usage(find_run(client, name).id)
    if as_json:
        print_json(used)
        return
    console = Console()
    console.print(usage_table(used))
    for iteration in used.iterations:
        console.print(
            f"iteration {iteration.number}: {iteration.spent:,.4f} {iteration.currency}", highlight=False
        )
