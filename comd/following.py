"""A run's events, without being held up by them. In: an iterator that waits. Out: its events, and None in between."""

import threading
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import TypeVar

Event = TypeVar("Event")
LOOK_S = 0.5


def without_waiting(events: Iterator[Event], look_s: float = LOOK_S) -> Iterator[Event | None]:
    """The events as they come; None after every `look_s` seconds without one, so that the caller can look around."""
    told: SimpleQueue[tuple[Event | None, Exception | None, bool]] = SimpleQueue()
    threading.Thread(target=_read, args=(events, told), daemon=True).start()
    while True:
        try:
            event, error, is_over = told.get(timeout=look_s)
        except Empty:
            yield None
            continue
        if error is not None:
            raise error
        if is_over:
            return
        yield event


def _read(events: Iterator[Event], told: "SimpleQueue[tuple[Event | None, Exception | None, bool]]") -> None:
    try:
        for event in events:
            told.put((event, None, False))
        told.put((None, None, True))
    except Exception as error:  # whatever it is, it is raised where the events are read
        told.put((None, error, True))
