"""Makes what the demo starts from: the world's pictures and questions, and the student's base model.

Each appears whole or not at all: it is written beside its place and renamed when it is done.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from comd.demo.folder import DemoFolder
from comd.world import dataset
from shared.errors import ConfigError

NUM_PICTURES = 1800
NUM_HELDOUT_PER_KIND = 100


def make_world(folder: DemoFolder) -> None:
    """Pictures, instructions, captions and held-out questions; nothing where they are there already."""
    _whole(folder.world, lambda draft: _write_world(draft, folder.seed))


def make_student(folder: DemoFolder) -> None:
    """The tiny student: vision tower and language model pre-trained apart, the projector between them fresh."""
    _whole(folder.student, lambda draft: _make_student(draft, folder.seed))


def _write_world(out: Path, seed: int) -> None:
    dataset.write(out, seed, NUM_PICTURES, num_heldout_per_kind=NUM_HELDOUT_PER_KIND)


def _make_student(out: Path, seed: int) -> None:
    command = [sys.executable, "-m", "comd.student_base", "--out", str(out), "--seed", str(seed)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode != 0:
        raise ConfigError(f"the demo's student could not be made:\n{done.stderr.strip()[-2000:]}")


def _whole(path: Path, make: Callable[[Path], None]) -> None:
    if path.exists():
        return
    draft = path.with_name(f"{path.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.parent.mkdir(parents=True, exist_ok=True)
    make(draft)
    draft.rename(path)
