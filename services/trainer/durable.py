"""Files that survive a crash: in, text or bytes; out, a file that is whole and on disk, or was never there."""

import os
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Write beside, flush, rename, flush the folder: readers see the old content or the new."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    flush_folder(path.parent)


def flush_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Make renames and new names in the folder last."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
