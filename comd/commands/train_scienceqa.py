"""`comd train scienceqa`: a student is fine-tuned on ScienceQA's training split, as in the paper."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from comd.commands.connection import AsJson
from comd.trainer import Trainer
from shared.errors import ConfigError
from shared.keys import load_keys
from shared.settings import default_image_store

if TYPE_CHECKING:
    from comd.scienceqa import Tuned


def scienceqa(
    data: Annotated[
        Path, typer.Option(help="ScienceQA as published: problems.json, pid_splits.json and the pictures.")
    ],
    model: Annotated[str, typer.Option(help="A checkpoint, or a base student that the trainer knows.")],
    config: Annotated[
        Path | None,
        typer.Option(help="A recipe like configs/scienceqa.toml.", show_default="the paper's numbers"),
    ] = None,
    suffix: Annotated[str, typer.Option(help="A name for the job, 64 characters at most.")] = "scienceqa",
    trainer_url: Annotated[str, typer.Option(help="Where the trainer is.")] = "http://127.0.0.1:8105",
    image_store: Annotated[
        str | None,
        typer.Option(
            help="The trainer's image store, folder or fsspec URL.", show_default="COMD_IMAGE_STORE"
        ),
    ] = None,
    curve: Annotated[
        Path | None, typer.Option(help="SVG file for the loss curve.", show_default="none")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fine-tune a student on ScienceQA's training split: lecture and solution, then the answer's letter.

    The pictures go into the image store; problems without one are learned from their text. The job goes on at the
    trainer when this command is stopped; the same command finds it again.
    """
    from comd import scienceqa as tuning  # brings the benchmark's reading, which other commands do not need
    from comd.trainer_jobs import loss_curve

    if not data.is_dir():
        raise ConfigError(f"--data {data}: there is no such folder")
    request = tuning.Request(
        data=data,
        model=model,
        image_store=image_store or default_image_store(),
        recipe=tuning.read_recipe(config) if config else tuning.Recipe(),
        suffix=suffix,
    )
    with Trainer(trainer_url, load_keys().api) as trainer:
        tuned = tuning.fine_tune(request, trainer, Console(stderr=True, quiet=as_json))
    if curve:
        curve.write_text(loss_curve(tuned.losses, f"ScienceQA from {model}"), encoding="utf-8")
    if as_json:
        print(json.dumps(_facts(tuned)))
    else:
        _show(tuned, data)


def _facts(tuned: "Tuned") -> dict[str, object]:
    return {
        "checkpoint": tuned.checkpoint,
        "job": tuned.job["id"],
        "problems": tuned.num_problems,
        "pictures": tuned.num_pictures,
        "losses": tuned.losses,
    }


def _show(tuned: "Tuned", data: Path) -> None:
    (_, first), (steps, last) = tuned.losses[0], tuned.losses[-1]
    print(
        f"{tuned.checkpoint} is fine-tuned on ScienceQA: {tuned.num_problems:,} problems, {tuned.num_pictures:,} "
        f"with a picture, {steps:,.0f} steps, loss {first:.3f} at first, {last:.3f} at last."
    )
    print("Measure it on the test split:")
    print(f"  comd evaluate scienceqa --data {data} --student {tuned.checkpoint}")
