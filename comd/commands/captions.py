"""`comd captions select`: the balanced selection of caption pairs that stage 1 is trained on."""

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from comd.commands.connection import AsJson

app = typer.Typer(help="Choose the captions that stage 1 trains on.", no_args_is_help=True)
PROMPT = "Describe this picture in a few words."


class Engine(StrEnum):
    local = "local"
    ray = "ray"


@app.callback()
def captions() -> None:
    """Choose the captions that stage 1 trains on."""


@app.command()
def select(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT", help="Caption files: JSON, JSONL, CSV, TSV or Parquet, by suffix."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="The file to write: *.json in LLaVA's format, *.parquet with each choice's reason."
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of the pictures; pairs without theirs are refused.", show_default=False),
    ] = None,
    pipeline: Annotated[
        str, typer.Option(help="Name or folder of the spaCy pipeline that finds noun phrases.")
    ] = "en_core_web_sm",
    min_frequency: Annotated[
        int, typer.Option(min=1, help="Captions that a phrase must be in, so that it chooses any.")
    ] = 3,
    cap: Annotated[int, typer.Option(min=1, help="Captions that one phrase chooses at most.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the draw where a phrase is in more than the cap.")] = 0,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes for spaCy.", show_default="the number of cores")
    ] = None,
    memory_mib: Annotated[int, typer.Option(min=512, help="Memory that choosing may take, in MiB.")] = 2048,
    engine: Annotated[
        Engine, typer.Option(help="Choose in this process, or on a Ray cluster.")
    ] = Engine.local,
    ray_address: Annotated[
        str | None, typer.Option(help="Address of the Ray cluster.", show_default="one is started here")
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Folder of the phrase table, to go on from.", show_default="beside OUT"),
    ] = None,
    prompt: Annotated[
        str, typer.Option(help="What the human asks of each picture, in the JSON file.")
    ] = PROMPT,
    report: Annotated[
        Path | None, typer.Option(help="HTML page about the selection.", show_default="beside OUT")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Choose caption pairs whose noun phrases are neither rare nor too frequent.

    A selection that was stopped goes on where it was when the same command is given again. With another --cap, --seed
    or --min-frequency the captions are not read again.
    """
    from comd.caption_selection import Request, select_pairs  # brings the trainer's parts

    request = Request(
        inputs=inputs,
        out=out,
        images=images,
        pipeline=pipeline,
        min_frequency=min_frequency,
        cap=cap,
        seed=seed,
        processes=processes or os.cpu_count() or 1,
        memory_mib=memory_mib,
        ray_address=(ray_address or "local") if engine is Engine.ray else None,
        work=work or out.with_name(f"{out.name}.work"),
        prompt=prompt,
        report=report or out.with_name(f"{out.stem}-report.html"),
    )
    facts = select_pairs(request, Console(stderr=True, quiet=as_json))
    if as_json:
        print(json.dumps(facts))
        return
    print(
        f"{out}: {facts['pairs_out']:,} of {facts['pairs_in']:,} pairs; {facts['refused']:,} refused, "
        f"{facts['duplicates']:,} duplicates; {facts['phrases_kept']:,} of {facts['phrases']:,} phrases kept"
    )
    print(f"Report: {request.report}   Numbers: {request.numbers}   To choose again: {request.work}")
