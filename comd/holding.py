"""A lock file that one process at a time holds. In: its path. Out: a context, or Conflict where another holds it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import Conflict


@contextmanager
def held(lock: Path, taken: str) -> Iterator[None]:
    """The kernel gives the lock back when the process ends, however it ends. `taken` is the error's message."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict(taken) from error
        yield
