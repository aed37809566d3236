"""Lists that come by pages. In: a route and its page's model. Out: an iterator over the rows of all pages."""

from collections.abc import AsyncIterator
from typing import Any

from comd.client.aio.link import AsyncLink
from services.coordinator.api.shapes import Page, Row

ROWS_AT_ONCE = 1000


async def rows(
    link: AsyncLink,
    page: type[Page[Row]],
    path: str,
    cursor: str = "cursor",
    limit: int = ROWS_AT_ONCE,
    **query: Any,
) -> AsyncIterator[Row]:
    """A page is asked for when its first row is wanted; `cursor` is the query's name for where it begins."""
    while True:
        found = await link.get(page, path, limit=limit, **query)
        for row in found.data:
            yield row
        if found.next_cursor is None:
            return
        query[cursor] = found.next_cursor
