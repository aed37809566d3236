"""`comd data import`: LLaVA-style data into the coordinator, with every refusal named."""

import json
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from comd.client import Coordinator
from comd.commands.connection import AsJson, connect
from shared.errors import ComdError

app = typer.Typer(help="Import data sets, and look at them.", no_args_is_help=True)
SHOWN_REFUSALS = 20
LOOK_S = 0.5
WHAT = {"instruct": "instructions", "pretrain": "captions", "evaluation": "evaluation questions"}


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="LLaVA-style JSON: a list, or one record a line.")],
    images: Annotated[Path, typer.Option(help="The folder that its image names are relative to.")],
    name: Annotated[str | None, typer.Option(help="Name of the data set.", show_default="the file's")] = None,
    purpose: Annotated[
        str, typer.Option(help="What runs use it for: instruct, pretrain or evaluation.")
    ] = "instruct",
    as_json: AsJson = False,
) -> None:
    """Import a data set; broken records and pictures are named and left out.

    An import that was stopped goes on where it was when the same command is given again.
    """
    with connect() as coordinator, ThreadPoolExecutor(1) as asking:
        named = name or file.stem
        result = asking.submit(coordinator.register_dataset, named, file, images, purpose)
        show_progress(coordinator, named, result, Console(stderr=True, quiet=as_json))
    if as_json:
        print(json.dumps(result.result()))
    else:
        show_import(Console(), result.result())


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the data sets that runs can use."""
    with connect() as coordinator:
        datasets = coordinator.datasets()
    if as_json:
        print(json.dumps(datasets))
        return
    for dataset in datasets:
        reading = "" if dataset["status"] == "ready" else f" so far ({dataset['status']})"
        print(f"{dataset['name']}: {dataset['num_instructions']:,} {WHAT[dataset['purpose']]}{reading}")


def show_progress(
    coordinator: Coordinator, name: str, result: Future[dict[str, Any]], console: Console
) -> None:
    """A bar with rate and time left, until the import ends; what goes wrong is the import's to tell."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[said]}"),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        bar = bars.add_task(name, total=None, said="")
        while not wait([result], LOOK_S).done:
            with suppress(ComdError):
                if told := coordinator.import_progress(name):
                    bars.update(
                        bar, total=told["bytes_total"], completed=told["bytes_read"], said=_said(told)
                    )


def _said(progress: dict[str, Any]) -> str:
    said = f"{progress['records']:,} records"
    if progress["rate"] is None:
        return said
    return f"{said}, {progress['rate']:,.0f}/s, {timedelta(seconds=round(progress['time_left_s']))} left"


def show_import(console: Console, result: dict[str, Any]) -> None:
    """What came in, and what did not and why."""
    console.print(f"{result['name']}: {result['num_instructions']:,} {WHAT[result['purpose']]} imported")
    show_refused(console, result["refused"], result["num_refused"])


def show_refused(console: Console, refused: list[dict[str, Any]], num_refused: int) -> None:
    """The first of what was refused, and how many more there are."""
    for item in refused[:SHOWN_REFUSALS]:
        console.print(
            f"  refused {item['record']}: {item['reason']}",
            style="yellow",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    if num_refused > SHOWN_REFUSALS:
        console.print(f"  and {num_refused - SHOWN_REFUSALS:,} more")
