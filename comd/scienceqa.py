"""Fine-tuning on ScienceQA at a trainer. In: the official folder, a student and a recipe. Out: the tuned checkpoint.

What is learned for each problem of the training split: its lecture and solution, then the answer's letter.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.console import Console

from comd.progress import WorkDisplay
from comd.trainer import Losses, Trainer
from comd.trainer_jobs import POLL_S, begin, follow
from services.coordinator.benchmarks.items import Item
from services.coordinator.benchmarks.prompts import question_text, target_text
from services.coordinator.benchmarks.reading import read_benchmark
from shared.errors import ConfigError
from shared.images import ImageStore
from shared.messages import user_message
from shared.settings import explain, read_toml
from shared.types import JsonObject

SPLIT = "train"
TOLD_EVERY = 20  # problems


class Recipe(BaseModel):
    """How a student is tuned; the defaults are the paper's (section 4.1), `max_length` is the LLaVA recipe's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(6, ge=1)
    batch_size: int = Field(16, ge=1)
    learning_rate: float = Field(2e-5, gt=0)
    warmup_ratio: float = Field(0.03, ge=0, lt=1)
    max_length: int = Field(2048, ge=16)
    adaptation: Literal["full", "lora"] = "full"
    seed: int = Field(0, ge=0, lt=2**32)


class RecipeFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    fine_tuning: Recipe


@dataclass(frozen=True)
class Request:
    data: Path
    model: str
    image_store: str
    recipe: Recipe
    suffix: str


@dataclass(frozen=True)
class Tuned:
    """What came of it: the checkpoint, its job and losses, and of how many problems, with and without a picture."""

    checkpoint: str
    job: JsonObject
    losses: Losses
    num_problems: int
    num_pictures: int


def read_recipe(file: Path) -> Recipe:
    """The table `[fine_tuning]` of a file; ConfigError names every key that cannot be used."""
    try:
        return RecipeFile(**read_toml(file)).fine_tuning
    except ValidationError as error:
        raise ConfigError(f"{file}: expected a table [fine_tuning]; {explain(error)}") from error


def fine_tune(request: Request, trainer: Trainer, console: Console, poll_s: float = POLL_S) -> Tuned:
    """Problems to a training file, to a job, to its end. ComdError where the job does not end well."""
    with console.status("reading the training split"):
        items = read_benchmark("scienceqa", request.data, SPLIT)
    with tempfile.TemporaryDirectory(prefix="comd-") as folder:
        file = Path(folder) / "scienceqa.jsonl"
        with WorkDisplay(console, "reading problems and pictures", "problems") as display:
            store = ImageStore(request.image_store)
            write_lines(items, store, file, lambda done: display.show(done, len(items)))
        with console.status("the trainer checks the training file"):
            file_id = trainer.upload(file)
    job = begin(trainer, _body(request, file_id), console)
    job = follow(trainer, job["id"], "training on ScienceQA", console, poll_s)
    num_pictures = sum(item.picture is not None for item in items)
    return Tuned(str(job["fine_tuned_model"]), job, trainer.losses(job["id"]), len(items), num_pictures)


def write_lines(items: Sequence[Item], store: ImageStore, out: Path, progress: Callable[[int], None]) -> None:
    """A training line for each problem, its picture in the store; `progress` hears how many there are by now."""
    with out.open("wb") as file:
        for number, item in enumerate(items, 1):
            file.write(orjson.dumps(_line(item, store), option=orjson.OPT_APPEND_NEWLINE))
            if number % TOLD_EVERY == 0 or number == len(items):
                progress(number)


def _line(item: Item, store: ImageStore) -> JsonObject:
    """Asked as the evaluation asks; the trainer places the picture before or after the question, by its coin."""
    picture = None if item.picture is None else store.put(item.picture.read_bytes(), str(item.picture))
    question = question_text("scienceqa", item.content, with_picture=picture is not None)
    answer = {"role": "assistant", "content": target_text(item.content)}
    return {"id": item.name, "messages": [user_message(picture, question), answer]}


def _body(request: Request, file_id: str) -> JsonObject:
    hyperparameters = request.recipe.model_dump(exclude={"adaptation", "seed"})
    hyperparameters["n_epochs"] = hyperparameters.pop("epochs")
    return {
        "training_file": file_id,
        "model": request.model,
        "suffix": request.suffix,
        "seed": request.recipe.seed,
        "stage": "tune",
        "adaptation": request.recipe.adaptation,
        "hyperparameters": hyperparameters,
        "metadata": {"dataset": "scienceqa"},
    }
