"""What Postgres can hold: no NUL in a text, no half of a character, no whole number beyond 64 bits.

In: a request to any route, as a dependency of the whole app. Out: BadRequest or Unprocessable that names the place.
"""

import json
from collections.abc import Iterator
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers

from shared.errors import BadRequest, Unprocessable, told

LARGEST = 2**63 - 1
LONGEST_VALUE = 1000  # characters of a part of the URL or of a header; ids and names are far shorter


async def storable(request: Request) -> None:
    """Refuses what no query could take, before any is made."""
    for where, value in _named_values(request):
        if len(value) > LONGEST_VALUE:
            raise BadRequest(
                f"{where}: {len(value)} characters; {LONGEST_VALUE} at most are taken", param=where
            )
        if reason := _wrong(value):
            raise BadRequest(f"{where}: {reason}, got {told(value)}", param=where)
    if _has_json(request.headers):
        try:
            body = await request.json()
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            return  # FastAPI says so where the route takes a body
        check_storable(body)


def check_storable(body: Any) -> None:
    """Unprocessable where it holds, at any depth, what no query could take."""
    for where, value in _values(body):
        if reason := _wrong(value):
            raise Unprocessable(f"{where}: {reason}, got {told(value)}", param=where[:200])


def _named_values(request: Request) -> Iterator[tuple[str, str]]:
    yield from request.path_params.items()
    yield from request.query_params.multi_items()
    if "idempotency-key" in request.headers:
        yield "idempotency-key", request.headers["idempotency-key"]


def _has_json(headers: Headers) -> bool:
    return "json" in headers.get("content-type", "")


def _values(body: Any) -> Iterator[tuple[str, Any]]:
    """Every name and plain value in it with its place; without recursion, however deep it is."""
    left: list[tuple[str, Any]] = [("body", body)]
    while left:
        where, value = left.pop()
        if isinstance(value, dict):
            for name, inner in value.items():
                yield where, name
                left.append((f"{where}.{name[:60]}" if len(where) < 200 else where, inner))
        elif isinstance(value, list):
            left += [(where, inner) for inner in value]
        else:
            yield where, value


def _wrong(value: Any) -> str | None:
    if isinstance(value, str):
        if "\0" in value:
            return "expected a text without NUL characters"
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            return "expected whole characters, not a half of a surrogate pair"
    elif isinstance(value, int) and abs(value) > LARGEST:
        return "expected a number within 64 bits"
    return None
