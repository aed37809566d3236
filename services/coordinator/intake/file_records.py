"""Decodes a data set's file record by record. In: a path. Out: JSON values, a line that is not JSON as a Refusal.

A JSON list is parsed as it is read, JSON lines line by line: neither is ever whole in memory.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import ijson
import orjson

from services.coordinator.intake.records import Refusal
from shared.errors import Unprocessable

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LOOK_AHEAD_BYTES = 4096


class FileRecords:
    """One pass over the file; `bytes_read` tells how far it is."""

    def __init__(self, file: Path):
        self.file = file
        self.bytes_read = 0

    def __iter__(self) -> Iterator[Any]:
        with self.file.open("rb") as content:
            start = len(BYTE_ORDER_MARK) if content.read(3) == BYTE_ORDER_MARK else 0
            content.seek(start)
            is_list = _first_byte(content) == b"["
            content.seek(start)
            for value in self._list(content) if is_list else _lines(content):
                self.bytes_read = content.tell()
                yield value
            self.bytes_read = content.tell()

    def _list(self, content: IO[bytes]) -> Iterator[Any]:
        try:
            yield from ijson.items(content, "item", use_float=True)
        except (ijson.JSONError, UnicodeDecodeError) as error:
            said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise Unprocessable(f"{self.file.name} is not JSON: {said}; nothing was imported") from error


def _first_byte(content: IO[bytes]) -> bytes:
    while part := content.read(LOOK_AHEAD_BYTES):
        if rest := part.lstrip():
            return rest[:1]
    return b""


def _lines(content: IO[bytes]) -> Iterator[Any]:
    while line := content.readline():  # not by iteration, which would hide the place in the file
        if line.strip():
            yield _decoded(line)


def _decoded(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Refusal(f"not JSON: {error}")
