"""Makes what the demo starts from: the world's pictures and questions, and the student's base model.

Each appears whole or not at all: it is written beside its place and renamed when it is done.
"""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from comd.caption_selection import Request, select_pairs
from comd.demo.folder import DemoFolder
from comd.stack.children import Child
from comd.world import dataset
from comd.world.caption_pipeline import save_pipeline
from shared.errors import ConfigError

NUM_PICTURES = 1800
NUM_HELDOUT_PER_KIND = 100
CAP = 200  # the world has twelve phrases, each in some 360 captions: the paper's 100 would leave half of them
CHOSEN = "captions.json"


def make_world(
    folder: DemoFolder,
    num_pictures: int = NUM_PICTURES,
    num_heldout_per_kind: int = NUM_HELDOUT_PER_KIND,
) -> None:
    """Pictures, instructions, captions and held-out questions; nothing where they are there already."""
    if not folder.world.exists():
        draft = _draft(folder.world)
        dataset.write(draft, folder.seed, num_pictures, num_heldout_per_kind=num_heldout_per_kind)
        draft.rename(folder.world)


def choose_captions(folder: DemoFolder) -> str:
    """What was chosen, in a sentence; the selection is `comd captions select`'s, the spaCy pipeline the world's own."""
    if not folder.captions.exists():
        draft = _draft(folder.captions)
        draft.mkdir()
        save_pipeline(draft / "pipeline", folder.seed)
        select_pairs(_selection(folder, draft), Console(quiet=True))
        draft.rename(folder.captions)
    facts = json.loads((folder.captions / "report.json").read_text())
    return (
        f"{facts['pairs_out']:,} of {facts['pairs_in']:,} captions were chosen for stage 1 by their "
        f"{facts['phrases']} noun phrases."
    )


def _selection(folder: DemoFolder, draft: Path) -> Request:
    return Request(
        inputs=[folder.world / "captions.json"],
        out=draft / CHOSEN,
        images=folder.world / "images",
        pipeline=str(draft / "pipeline"),
        min_frequency=3,
        cap=CAP,
        seed=folder.seed,
        processes=1,
        memory_mib=512,
        ray_address=None,
        work=draft / "work",
        prompt=dataset.CAPTION_REQUEST,
        report=draft / "report.html",
    )


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
