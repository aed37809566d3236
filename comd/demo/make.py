"""Makes what the demo starts from: the world's pictures and questions, and the student's base model.

Each appears whole or not at all: it is written beside its place and renamed when it is done.
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from comd.demo.folder import DemoFolder
from comd.stack.children import Child
from comd.world import dataset
from shared.errors import ConfigError

NUM_PICTURES = 1800
NUM_HELDOUT_PER_KIND = 100


def make_world(folder: DemoFolder) -> None:
    """Pictures, instructions, captions and held-out questions; nothing where they are there already."""
    if not folder.world.exists():
        draft = _draft(folder.world)
        dataset.write(draft, folder.seed, NUM_PICTURES, num_heldout_per_kind=NUM_HELDOUT_PER_KIND)
        draft.rename(folder.world)


@contextmanager
def student_in_the_making(folder: DemoFolder) -> Iterator[Callable[[], bool]]:
    """Makes the tiny student beside us: tower and language model pre-trained apart, the projector fresh.

    Gives a question to ask: is it there? Whoever leaves before ends the making.
    """
    if folder.student.exists():
        yield lambda: True
        return
    draft = _draft(folder.student)
    command = [sys.executable, "-m", "comd.student_base", "--out", str(draft), "--seed", str(folder.seed)]
    env = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    child = Child("student", command, folder.home / "logs" / "student.log", env)
    child.start()
    try:
        yield lambda: _is_made(child, draft, folder.student)
    finally:
        child.kill()


def _is_made(child: Child, draft: Path, path: Path) -> bool:
    if child.exit_status is None:
        return False
    if child.exit_status != 0:
        raise ConfigError(f"the demo's student could not be made:\n{child.last_words()}")
    if draft.exists():
        draft.rename(path)
    return True


def _draft(path: Path) -> Path:
    draft = path.with_name(f"{path.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.parent.mkdir(parents=True, exist_ok=True)
    return draft
