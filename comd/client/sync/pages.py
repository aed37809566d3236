# Made from comd/client/aio by `python comd/client/unasync.py`: change it there.
"""Lists that come by pages. In: a route and its page's model. Out: an iterator over the rows of all pages."""

from collections.abc import Iterator
from typing import Any

from comd.client.sync.link import Link
from services.coordinator.api.shapes import Page, Row

ROWS_AT_ONCE = 1000


def rows(
    link: Link,
    page: type[Page[Row]],
    path: str,
    cursor: str = "cursor",
    limit: int = ROWS_AT_ONCE,
    **query: Any,
) -> Iterator[Row]:
    """A page is asked for when its first row is wanted; `cursor` is the query's name for where it begins."""
    while True:
        found = link.get(page, path, limit=limit, **query)
        yield from found.data
        if found.next_cursor is None:
            return
        query[cursor] = found.next_cursor
