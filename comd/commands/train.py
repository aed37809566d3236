"""`comd train pretrain`: stage 1 on its own, from a caption selection to an aligned student."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from comd.commands.connection import AsJson
from comd.commands.data import show_refused
from comd.commands.train_scienceqa import scienceqa
from comd.trainer import Trainer
from services.coordinator.api.shapes import Refusal
from shared.errors import ConfigError
from shared.keys import load_keys
from shared.settings import default_image_store

if TYPE_CHECKING:
    from comd.pretraining import Aligned

app = typer.Typer(help="Train a student apart from the loop.", no_args_is_help=True)
app.command("scienceqa")(scienceqa)


@app.callback()
def train() -> None:
    """Train a student apart from the loop."""


@app.command()
def pretrain(
    captions: Annotated[
        Path,
        typer.Argument(metavar="CAPTIONS", help="LLaVA's caption JSON, as `comd captions select` writes it."),
    ],
    images: Annotated[Path, typer.Option(help="The folder that its image names are relative to.")],
    base: Annotated[str, typer.Option(help="A base student that the trainer knows, or a checkpoint.")],
    trainer_url: Annotated[str, typer.Option(help="Where the trainer is.")] = "http://127.0.0.1:8105",
    image_store: Annotated[
        str | None,
        typer.Option(
            help="The trainer's image store, folder or fsspec URL.", show_default="COMD_IMAGE_STORE"
        ),
    ] = None,
    learning_rate: Annotated[
        float, typer.Option(help="Learning rate; the default is the paper's for stage 1.")
    ] = 2e-3,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Pairs a step, over all devices; the default is the paper's.")
    ] = 16,
    epochs: Annotated[
        int, typer.Option(min=1, help="Times that all pairs are seen; the default is the LLaVA recipe's.")
    ] = 1,
    max_length: Annotated[
        int, typer.Option(min=8, help="Tokens that a pair may have; the default is the LLaVA recipe's.")
    ] = 2048,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the order of pairs and of the picture's place in each.")
    ] = 0,
    curve: Annotated[
        Path | None, typer.Option(help="SVG file of the loss curve.", show_default="beside CAPTIONS")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train the projector alone on captions, and say how a run begins from the aligned student.

    The pictures go into the image store. The job goes on at the trainer when this command is stopped; the same
    command finds it again.
    """
    from comd import pretraining  # brings the coordinator's import, which other commands do not need
    from comd.trainer_jobs import loss_curve

    if captions.suffix == ".parquet" or not captions.is_file():
        raise ConfigError(
            f"{captions}: expected a file of LLaVA's caption JSON (`comd captions select --out X.json`)"
        )
    if not images.is_dir():
        raise ConfigError(f"--images {images}: there is no such folder")
    request = pretraining.Request(
        captions=captions,
        images=images,
        base=base,
        image_store=image_store or default_image_store(),
        hyperparameters={
            "learning_rate": learning_rate,
            "batch_size": batch_size,
            "n_epochs": epochs,
            "max_length": max_length,
        },
        seed=seed,
    )
    with Trainer(trainer_url, load_keys().api) as trainer:
        aligned = pretraining.pretrain(request, trainer, Console(stderr=True, quiet=as_json))
    picture = curve or captions.with_name(f"{captions.stem}-loss.svg")
    picture.write_text(loss_curve(aligned.losses, f"stage 1 from {base}"), encoding="utf-8")
    if as_json:
        print(json.dumps(_facts(aligned, picture)))
    else:
        _show(aligned, picture)


def _facts(aligned: "Aligned", picture: Path) -> dict[str, object]:
    return {
        "checkpoint": aligned.checkpoint,
        "job": aligned.job["id"],
        "pairs": aligned.written.num_lines,
        "num_refused": aligned.written.num_refused,
        "refused": aligned.written.refused,
        "losses": aligned.losses,
        "curve": str(picture),
    }


def _show(aligned: "Aligned", picture: Path) -> None:
    console, written = Console(), aligned.written
    show_refused(console, [Refusal(**row) for row in written.refused], written.num_refused)
    (_, first), (steps, last) = aligned.losses[0], aligned.losses[-1]
    print(
        f"{aligned.checkpoint} is aligned: {written.num_lines:,} pairs, {steps:,.0f} steps, "
        f"loss {first:.3f} at first, {last:.3f} at last. Loss curve: {picture}"
    )
    print("A run begins from it, without a stage 1 of its own (leave [pretraining] out):")
    print(f'  [student]\n  base = "{aligned.checkpoint}"')
