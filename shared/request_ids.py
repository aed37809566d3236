"""One id goes with a request through every service, and stands in each one's log lines.

In: what the caller sent, or what is being done. Out: the id of the work that goes on in this context.
"""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context

HEADER = "x-request-id"
SANE = re.compile(r"[A-Za-z0-9._:-]{1,128}")
STRANGE = re.compile(r"[^A-Za-z0-9._:-]+")

_current: ContextVar[str | None] = ContextVar("request_id", default=None)


def current() -> str | None:
    """The id of the request or task in whose course this code runs."""
    return _current.get()


def headers() -> dict[str, str]:
    """The id as a header for calls to others; empty where nothing has one."""
    request_id = _current.get()
    return {} if request_id is None else {HEADER: request_id}


@contextmanager
def bound(given: str | None = None) -> Iterator[str]:
    """What happens inside has this id; a new one where none is given, or one that no log should show."""
    request_id = given if given and SANE.fullmatch(given) else uuid.uuid4().hex
    token = _current.set(request_id)
    try:
        yield request_id
    finally:
        _current.reset(token)


def nobodys() -> Context:
    """The context for what is begun in the course of a request, but goes on after it."""
    context = copy_context()
    context.run(_current.set, None)
    return context


def of_parts(*parts: object) -> str:
    """An id that can be told from what is done: its parts, each as far as an id can show it."""
    return ":".join(STRANGE.sub("-", str(part))[:24] for part in parts)
