"""OpenAI's cursor pages. In: all items of a list and where the client is in it. Out: the next of them."""

from typing import Annotated

from fastapi import Query

from shared.errors import BadRequest
from shared.types import JsonObject

Limit = Annotated[int, Query(ge=1, le=10_000)]  # OpenAI's bounds


def page(items: list[JsonObject], after: str | None, limit: int) -> JsonObject:
    """At most `limit` items behind the one whose id is `after`."""
    names = [item["id"] for item in items]
    if after is not None and after not in names:
        raise BadRequest(f"after: no item {after[:60]!r} in this list", param="after")
    start = names.index(after) + 1 if after is not None else 0
    return listed(items[start : start + limit], has_more=start + limit < len(items))


def listed(chosen: list[JsonObject], *, has_more: bool) -> JsonObject:
    """A page of these items."""
    return {
        "object": "list",
        "data": chosen,
        "has_more": has_more,
        "first_id": chosen[0]["id"] if chosen else None,
        "last_id": chosen[-1]["id"] if chosen else None,
    }
