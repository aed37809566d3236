"""Files that survive a crash: in, text or bytes; out, a file that is whole and on disk, or was never there."""

import errno
import os
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Write beside, flush, rename, flush the folder: readers see the old content or the new."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def reserve(path: Path, num_bytes: int) -> None:
    """Keep some space for the day when the disk is full: deleting the file makes room to write down why."""
    if not path.is_file() or path.stat().st_size < num_bytes:
        write(path, bytes(num_bytes))


def append(path: Path, line: bytes) -> None:
    """Add a whole line or, where the disk is full, nothing."""
    with path.open("ab", buffering=0) as file:
        end = file.tell()
        try:
            written = file.write(line)
            if written < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError:
            file.truncate(end)
            raise


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
