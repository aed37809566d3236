"""An environment for the peer: TRL beside the packages that the trainer itself uses. Out: its Python, or a reason."""

from pathlib import Path

from benchmarks.environments import python_with

TRL, DATASETS = "1.16.0", "5.2.0"


def python_with_trl(folder: Path) -> Path | str:
    """It sees the trainer's torch, transformers and DeepSpeed: what differs is TRL alone."""
    return python_with(folder, [f"trl=={TRL}", f"datasets=={DATASETS}"])
