"""`comd pool export`: a run's pool into a file, with provenance."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import DownloadColumn, Progress, TimeElapsedColumn, TransferSpeedColumn

from comd.commands.connection import connect

app = typer.Typer(help="Look at the instructions of a run, and export them.", no_args_is_help=True)


class Pool(StrEnum):
    tuning = "tuning"
    cache = "cache"


class Format(StrEnum):
    llava = "llava"
    openai = "openai"
    parquet = "parquet"


@app.callback()
def pools() -> None:
    """Look at the instructions of a run, and export them."""


@app.command()
def export(
    name: Annotated[str, typer.Argument(metavar="RUN", help="the run's name or id")],
    pool: Annotated[Pool, typer.Argument(help="tuning: born in the iteration; cache: all up to it")],
    out: Annotated[Path, typer.Option(help="the file to write")],
    format: Annotated[Format, typer.Option(help="llava, openai or parquet")] = Format.llava,
    iteration: Annotated[int | None, typer.Option(min=1, help="default: the newest")] = None,
    images: Annotated[bool, typer.Option("--images", help="Parquet: with the pictures' bytes")] = False,
) -> None:
    """Write the answered instructions of POOL, and where each comes from, to a file."""
    draft = out.with_name(f"{out.name}.part")  # whoever finds OUT finds all of it
    with connect() as coordinator:
        run = coordinator.find_run(name)
        with (
            coordinator.export(run["id"], pool.value, format.value, iteration, images) as reply,
            Progress(
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            ) as bars,
            draft.open("wb") as file,
        ):
            bar = bars.add_task("", total=None)
            for part in reply.iter_bytes():
                file.write(part)
                bars.advance(bar, len(part))
            told = reply.headers
    draft.replace(out)
    print(
        f"{out}: {int(told['x-comd-answered']):,} instructions of the {pool.value} pool of iteration "
        f"{told['x-comd-iteration']}; {int(told['x-comd-unanswered']):,} have no answer and are left out"
    )
