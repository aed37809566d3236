"""Jobs of the trainer without its service. In: a student, lengths, devices. Out: plans whose records are prepared."""

import os
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import orjson

from benchmarks.training import dialogues
from benchmarks.training.student import Geometry
from services.trainer.devices import Devices, devices_of, sharded
from services.trainer.plan import Plan, rendezvous
from services.trainer.settings import Adaptation, Hyperparameters, TrainerSettings
from shared.images import ImageStore

CPU = devices_of(TrainerSettings(num_devices=1, threads=1), num_gpus=0)


def write_data(folder: Path, geometry: Geometry, lengths: Sequence[int], side: int | None = None) -> None:
    """The training file and its pictures, in a folder that holds the student too."""
    store = ImageStore(str(folder / "images"))
    side = side or geometry.image_size
    dialogues.write(folder / "train.jsonl", store, lengths, geometry.image_tokens, side)


def plan(
    folder: Path,
    name: str,
    devices: Devices = CPU,
    adaptation: Adaptation = "full",
    save_every_steps: int = 1_000_000,
    group_by_length: bool = True,
    **hyperparameters: Any,
) -> Plan:
    """The plan of a job whose folder lies in `folder`; no tracker, no training states unless asked for."""
    (folder / name).mkdir(exist_ok=True)
    given = Hyperparameters(**hyperparameters)
    return Plan(
        job=name,
        folder=folder / name,
        model=folder / "student",
        training_file=folder / "train.jsonl",
        image_store=str(folder / "images"),
        stage="tune",
        adaptation=adaptation,
        seed=1,
        hyperparameters=given,
        learning_rate=hyperparameters.get("learning_rate") or 1e-3,
        devices=sharded(devices, given.batch_size),
        group_by_length=group_by_length,
        save_every_steps=save_every_steps,
        tracking=[],
    )


def prepare(plan: Plan, ranks: int = 1) -> None:
    """Tokenize the job's records, by the trainer's own program."""
    from services.trainer.training import prepare as program

    plan.prepared.mkdir(exist_ok=True)
    forked([lambda: program.main(arguments(plan)) for _ in range(ranks)])


def arguments(plan: Plan) -> dict[str, Any]:
    """The plan as programs are given it."""
    return dict(orjson.loads(plan.model_dump_json()))


def forked(programs: Sequence[Callable[[], None]], together: bool = True) -> None:
    """Run each in a fork of this process: as ranks that find each other, or each as the only rank of a job."""
    ranks = len(programs) if together else 1
    places = [rendezvous(ranks)] * ranks if together else [rendezvous(1) for _ in programs]

    def run(program: Callable[[], None], place: dict[str, str], rank: int) -> None:
        os.environ.update(place, RANK=str(rank), LOCAL_RANK=str(rank))
        program()

    started = []
    for at, (program, place) in enumerate(zip(programs, places, strict=True)):
        process = get_context("fork").Process(target=run, args=(program, place, at if together else 0))
        process.start()
        started.append(process)
    for process in started:
        process.join()
    if failed := [process.exitcode for process in started if process.exitcode]:
        raise SystemExit(f"a program of the benchmark failed with status {failed[0]}; see above")
