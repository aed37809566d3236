"""Answers as JSON on stdout. In: models, or anything JSON knows. Out: one object, or a list as its rows come."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

from pydantic_core import to_json


def print_json(value: Any) -> None:
    print(to_json(value).decode())


def print_list(rows: Iterable[Any]) -> None:
    """A row a line. Nothing is printed where already the first cannot be had."""
    coming = iter(rows)
    first = next(coming, None)
    if first is None:
        print("[]")
        return
    for opening, row in zip(chain("[", _commas()), chain((first,), coming), strict=False):
        print(f"{opening}{to_json(row).decode()}", end="")
    print("]")


def _commas() -> Iterable[str]:
    while True:
        yield ",\n"
