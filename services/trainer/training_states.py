"""Training states: what a job can go on from. In: a job's folder. Out: its newest whole state; torn ones removed.

A state is a folder `checkpoint-<step>` with weights, optimizer, schedule and random generators. Its marker is
written last, after every rank has flushed its files: a state without one does not exist.
"""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from services.trainer import durable

MARKER = "complete.json"
PREFIX = "checkpoint-"  # transformers' name for them


@dataclass(frozen=True)
class Shape:
    """What must be equal for a state to be loaded: DeepSpeed saves one shard for each process."""

    num_processes: int
    zero_stage: int
    dtype: str
    micro_batch_size: int


@dataclass(frozen=True)
class TrainingState:
    folder: Path
    step: int
    shape: Shape


def states_folder(job_folder: Path) -> Path:
    return job_folder / "states"


def newest(job_folder: Path) -> TrainingState | None:
    """The whole state of the highest step; None where training has to begin at its start."""
    found = [_read(marker) for marker in states_folder(job_folder).glob(f"{PREFIX}*/{MARKER}")]
    return max(found, key=lambda state: state.step, default=None)


def remove_torn(job_folder: Path) -> list[str]:
    """Remove states that a crash left unfinished; gives their names."""
    torn = [
        folder for folder in states_folder(job_folder).glob(f"{PREFIX}*") if not (folder / MARKER).is_file()
    ]
    for folder in torn:
        shutil.rmtree(folder, ignore_errors=True)
    return sorted(folder.name for folder in torn)


def mark_whole(folder: Path, step: int, shape: Shape) -> None:
    """Make the state exist. Its files are on disk already."""
    durable.write(folder / MARKER, orjson.dumps({"step": step, "shape": asdict(shape)}))
    durable.flush_folder(folder.parent)


def flush(folder: Path) -> None:
    """Bring a state's files to disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            durable.flush_file(path)
    durable.flush_folder(folder)


def difference(saved: Shape, now: Shape) -> str | None:
    """In words, why a state of the one shape cannot be loaded in the other."""
    told = {
        "num_processes": "trainer.num_devices (with hostfile: of all nodes)",
        "zero_stage": "trainer.zero_stage",
        "dtype": "trainer.dtype",
        "micro_batch_size": "trainer.micro_batch_size",
    }
    before, after = asdict(saved), asdict(now)
    changed = [f"{told[key]} was {before[key]}, is {after[key]}" for key in told if before[key] != after[key]]
    return "; ".join(changed) or None


def _read(marker: Path) -> TrainingState:
    about = orjson.loads(marker.read_bytes())
    return TrainingState(marker.parent, about["step"], Shape(**about["shape"]))
