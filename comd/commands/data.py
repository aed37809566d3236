"""`comd data import | list | show`: LLaVA-style data into the coordinator, with every refusal named."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from comd.client import Client
from comd.client.sync.datasets import Purpose
from comd.commands.connection import AsJson, DatasetName, connect, find_dataset
from comd.commands.printing import print_json, print_list
from comd.printable import printable
from services.coordinator.api.shapes import Dataset, ImportProgress, Refusal
from shared.errors import ComdError

app = typer.Typer(help="Import data sets, and look at them.", no_args_is_help=True)
SHOWN_REFUSALS = 20
LOOK_S = 0.5
WHAT = {
    "instruct": "instructions",
    "pretrain": "captions",
    "evaluation": "evaluation questions",
    "benchmark": "questions of a benchmark",
}


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="LLaVA-style JSON: a list, or one record a line.")
    ],
    images: Annotated[Path, typer.Option(help="The folder that its image names are relative to.")],
    name: Annotated[str | None, typer.Option(help="Name of the data set.", show_default="the file's")] = None,
    purpose: Annotated[Purpose, typer.Option(help="What runs use it for.")] = "instruct",
    as_json: AsJson = False,
) -> None:
    """Import a data set; broken records and pictures are named and left out.

    An import that was stopped goes on where it was when the same command is given again.
    """
    with connect() as client, ThreadPoolExecutor(1) as asking:
        named = name or file.stem
        result = asking.submit(client.datasets.register, named, file, images, purpose)
        show_progress(client, named, result, Console(stderr=True, quiet=as_json))
    if as_json:
        print_json(result.result())
    else:
        show_import(Console(), result.result())


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the data sets that runs can use."""
    with connect() as client:
        datasets = client.datasets.list()
    if as_json:
        print_list(datasets)
        return
    for dataset in datasets:
        print(_line(dataset))


@app.command()
def show(name: DatasetName, as_json: AsJson = False) -> None:
    """Show a data set: what it holds, how far its import is, and what was refused."""
    with connect() as client:
        dataset = find_dataset(client, name)
    if as_json:
        print_json(dataset)
        return
    console = Console()
    console.print(_line(dataset), highlight=False, soft_wrap=True)
    console.print(f"  {dataset.num_records:,} records, {dataset.num_images:,} pictures", highlight=False)
    show_refused(console, dataset.refused, dataset.num_refused)


def _line(dataset: Dataset) -> str:
    reading = "" if dataset.status == "ready" else f" so far ({dataset.status})"
    return f"{dataset.name}: {dataset.num_instructions:,} {WHAT[dataset.purpose]}{reading}"


def show_progress(client: Client, name: str, result: Future[Dataset], console: Console) -> None:
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
                if told := client.datasets.get(name).progress:
                    bars.update(bar, total=told.bytes_total, completed=told.bytes_read, said=_said(told))


def _said(progress: ImportProgress) -> str:
    said = f"{progress.records:,} records"
    if progress.rate is None or progress.time_left_s is None:
        return said
    return f"{said}, {progress.rate:,.0f}/s, {timedelta(seconds=round(progress.time_left_s))} left"


def show_import(console: Console, result: Dataset) -> None:
    """What came in, and what did not and why."""
    console.print(f"{result.name}: {result.num_instructions:,} {WHAT[result.purpose]} imported")
    show_refused(console, result.refused, result.num_refused)


def show_refused(console: Console, refused: Sequence[Refusal], num_refused: int) -> None:
    """The first of what was refused, and how many more there are."""
    for item in refused[:SHOWN_REFUSALS]:
        console.print(
            f"  refused {printable(item.record)}: {printable(item.reason)}",
            style="yellow",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    if num_refused > SHOWN_REFUSALS:
        console.print(f"  and {num_refused - SHOWN_REFUSALS:,} more")
