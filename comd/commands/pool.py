"""`comd pool list | export`: what a run teaches its student with."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import DownloadColumn, Progress, TimeElapsedColumn, TransferSpeedColumn

from comd.commands.connection import AsJson, RunName, connect, find_run
from comd.commands.printing import print_json, print_list

app = typer.Typer(help="List the instructions of a run, and export them.", no_args_is_help=True)
PoolName = Annotated[
    Literal["tuning", "cache"],
    typer.Argument(
        metavar="POOL",
        help="Instructions born in the iteration (tuning), or up to it (cache).",
        show_default=False,
    ),
]
IterationNumber = Annotated[
    int | None, typer.Option(min=1, help="The iteration whose pool it is.", show_default="the newest")
]


@app.command("list")
def list_(name: RunName, pool: PoolName, iteration: IterationNumber = None, as_json: AsJson = False) -> None:
    """List the instructions of a pool, answered or not."""
    with connect() as client:
        items = client.pools.items(find_run(client, name).id, pool, iteration)
        if as_json:
            print_list(items)
            return
        for item in items:
            print(f"{item.id}  {item.origin}  born in {item.born_in}  {item.task_type}  {item.text!r}")


@app.command()
def export(
    name: RunName,
    pool: PoolName,
    out: Annotated[
        Path, typer.Option(help="The file to write; it appears when it is whole.", show_default=False)
    ],
    format: Annotated[
        Literal["llava", "openai", "parquet"],
        typer.Option(help="LLaVA's JSON, OpenAI's JSON lines, or Parquet."),
    ] = "llava",
    iteration: IterationNumber = None,
    images: Annotated[bool, typer.Option("--images", help="Parquet only: with the pictures' bytes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the answered instructions of a pool, and where each comes from, to a file."""
    columns = (DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn())
    with (
        connect() as client,
        Progress(*columns, console=Console(stderr=True, quiet=as_json), transient=True) as bars,
    ):
        bar = bars.add_task("", total=None)
        run_id = find_run(client, name).id
        done = client.pools.export(
            run_id, pool, out, format, iteration, images, on_bytes=lambda num: bars.advance(bar, num)
        )
    if as_json:
        print_json({"file": str(out), "pool": pool, "format": format, **vars(done)})
        return
    print(
        f"{out}: {done.num_answered:,} instructions of the {pool} pool of iteration {done.iteration}; "
        f"{done.num_unanswered:,} have no answer and are left out"
    )
