"""`comd benchmark register | list | show`: public test sets that models and runs' students are measured on."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from comd.commands import completion
from comd.commands.connection import AsJson, connect
from comd.commands.errors import UnknownName
from comd.commands.printing import print_json, print_list
from services.coordinator.api.evaluation_shapes import Benchmark
from services.coordinator.benchmarks.items import Kind
from shared.errors import NotFound

app = typer.Typer(help="Register benchmarks, and look at them.", no_args_is_help=True)


@app.command()
def register(
    name: Annotated[
        str, typer.Argument(metavar="BENCHMARK", help="Its new name, as runs and evaluations call it.")
    ],
    kind: Annotated[Kind, typer.Option(help="What it is.", show_default=False)],
    data: Annotated[Path, typer.Option(help="Folder as it is published.", show_default=False)],
    split: Annotated[
        str | None, typer.Option(help="Of scienceqa: train, val or test.", show_default="test")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read a benchmark in, so that runs can name it; what is missing or malformed is named."""
    if kind == "scienceqa":
        split = split or "test"
    with connect() as client, Console(stderr=True, quiet=as_json).status(f"reading {data} …"):
        made = client.benchmarks.register(name, kind, data, split)
    if as_json:
        print_json(made)
    else:
        print(_line(made))


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the benchmarks that are registered."""
    with connect() as client:
        found = client.benchmarks.list()
    if as_json:
        print_list(found)
        return
    for one in found:
        print(_line(one))


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="BENCHMARK",
            help="Name of the benchmark.",
            show_default=False,
            autocompletion=completion.benchmarks,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Show what a benchmark is, where it came from, and the hash of its content."""
    with connect() as client:
        try:
            found = client.benchmarks.get(name)
        except NotFound:
            known = (one.name for one in client.benchmarks.list())
            raise UnknownName("benchmark", name, known, "comd benchmark list") from None
    if as_json:
        print_json(found)
        return
    print(_line(found))
    print(f"  from {found.path}, sha256 {found.content_sha256}")


def _line(one: Benchmark) -> str:
    split = f", {one.split}" if one.split else ""
    return f"{one.name}: {one.kind}{split}, {one.num_items:,} questions, {one.num_images:,} pictures"
