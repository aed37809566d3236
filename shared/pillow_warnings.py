"""Pillow's warnings as errors while pictures are decoded, in any number of threads.

`warnings.catch_warnings` alone restores what another thread had just set: the filter could stay for ever.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_lock = threading.Lock()
_inside = 0
_filter = ExitStack()


@contextmanager
def pillow_warnings_are_errors() -> Iterator[None]:
    """The first to come sets the filter, the last to go takes it back. Warnings of other modules stay warnings."""
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _inside
    with _lock:
        if _inside == 0:
            _filter.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("error", module=r"PIL\.")
        _inside += 1


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if _inside == 0:
            _filter.close()
