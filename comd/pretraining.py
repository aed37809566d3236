"""Stage 1 at a trainer. In: a caption selection and a base student. Out: the aligned checkpoint and its losses."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from comd.progress import WorkDisplay
from comd.trainer import Losses, Trainer
from comd.trainer_jobs import POLL_S, begin, follow
from comd.training_lines import Written, write_lines
from services.trainer.captions.sizing import about_how_many
from shared.images import ImageStore
from shared.types import JsonObject


@dataclass(frozen=True)
class Request:
    captions: Path
    images: Path
    base: str
    image_store: str
    hyperparameters: JsonObject
    seed: int


@dataclass(frozen=True)
class Aligned:
    """What came of it: the checkpoint, the job, its losses by step, and what of the captions was refused."""

    checkpoint: str
    job: JsonObject
    losses: Losses
    written: Written


def pretrain(request: Request, trainer: Trainer, console: Console, poll_s: float = POLL_S) -> Aligned:
    """Captions to a training file, to a job, to its end. ComdError where the job does not end well."""
    with tempfile.TemporaryDirectory(prefix="comd-") as folder:
        file = Path(folder) / f"{request.captions.stem}.jsonl"
        written = _write(request, file, console)
        with console.status("the trainer checks the training file"):
            file_id = trainer.upload(file)
    job = begin(trainer, _body(request, file_id), console)
    job = follow(trainer, job["id"], "training the projector", console, poll_s)
    return Aligned(str(job["fine_tuned_model"]), job, trainer.losses(job["id"]), written)


def _write(request: Request, file: Path, console: Console) -> Written:
    total = about_how_many([request.captions])
    with WorkDisplay(console, "reading pairs and pictures", "pairs") as display:

        def progress(done: int) -> None:
            display.show(done, max(total, done))

        return write_lines(request.captions, request.images, ImageStore(request.image_store), file, progress)


def _body(request: Request, file_id: str) -> JsonObject:
    return {
        "training_file": file_id,
        "model": request.base,
        "suffix": request.captions.stem[:64],
        "seed": request.seed,
        "stage": "pretrain",
        "hyperparameters": request.hyperparameters,
        "metadata": {"dataset": request.captions.name[:512]},
    }
