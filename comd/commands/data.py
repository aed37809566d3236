"""`comd data import`: LLaVA-style data into the coordinator, with every refusal named."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from comd.commands.connection import connect

app = typer.Typer(help="data sets: import and list", no_args_is_help=True)
SHOWN_REFUSALS = 20
WHAT = {"instruct": "instructions", "pretrain": "captions", "evaluation": "evaluation questions"}


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="LLaVA instruct JSON: a list, or one record a line")],
    images: Annotated[Path, typer.Option(help="the folder that its image names are relative to")],
    name: Annotated[str | None, typer.Option(help="of the data set; default: the file's name")] = None,
    purpose: Annotated[str, typer.Option(help="instruct, pretrain or evaluation")] = "instruct",
    as_json: Annotated[bool, typer.Option("--json", help="for machines")] = False,
) -> None:
    """Import FILE: every record and picture is checked; broken ones are named and left out."""
    with connect() as coordinator:
        result = coordinator.register_dataset(name or file.stem, file, images, purpose)
    if as_json:
        print(json.dumps(result))
    else:
        show_import(Console(), result)


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="for machines")] = False) -> None:
    """The data sets that runs can use."""
    with connect() as coordinator:
        datasets = coordinator.datasets()
    if as_json:
        print(json.dumps(datasets))
        return
    for dataset in datasets:
        print(f"{dataset['name']}: {dataset['num_instructions']:,} {WHAT[dataset['purpose']]}")


def show_import(console: Console, result: dict[str, Any]) -> None:
    """What came in, and what did not and why."""
    console.print(f"{result['name']}: {result['num_instructions']:,} {WHAT[result['purpose']]} imported")
    refused = result["refused"]
    for item in refused[:SHOWN_REFUSALS]:
        console.print(
            f"  refused {item['record']}: {item['reason']}",
            style="yellow",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    if result["num_refused"] > SHOWN_REFUSALS:
        console.print(f"  and {result['num_refused'] - SHOWN_REFUSALS:,} more")
