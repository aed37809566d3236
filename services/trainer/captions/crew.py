"""Several processes that work off a list which is longer than memory. In: calls. Out: progress, as they end."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from types import TracebackType
from typing import Any, Self

from shared.errors import ComdError

CALLS_AHEAD = 2  # for each process, so that none waits for the next call


class Crew:
    """Each call's result is the number of rows that it did; `progress` is told their sum."""

    def __init__(self, processes: int, progress: Callable[[int], None]):
        self._pool = ProcessPoolExecutor(processes, get_context("spawn"), _start)
        self._most = CALLS_AHEAD * processes
        self._progress = progress
        self._pending: set[Future[int]] = set()
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)  # waits for the calls that have begun

    def count(self, num_rows: int) -> None:
        """Rows that were done before."""
        self._done += num_rows
        self._progress(self._done)

    def give(self, call: Callable[..., int], *arguments: Any) -> None:
        """Returns when few enough calls wait; raises what an earlier call raised."""
        with _told_when_killed():
            self._pending.add(self._pool.submit(call, *arguments))
        self._wait(self._most - 1)

    def finish(self) -> None:
        """Wait for all calls."""
        self._wait(0)

    def _wait(self, most: int) -> None:
        while len(self._pending) > most:
            ended, self._pending = wait(self._pending, return_when=FIRST_COMPLETED)
            with _told_when_killed():
                for future in ended:
                    self.count(future.result())


@contextmanager
def _told_when_killed() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise ComdError(
            "a process of the crew was killed, by lack of memory perhaps; what is done is kept: call again, with fewer "
            "processes where memory is short"
        ) from error


def _start() -> None:
    """In each process: Ctrl-C is its parent's affair; it ends when its parent is killed; it takes one core."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read when a library of linear algebra is first imported
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
