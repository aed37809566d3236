"""An upload cut into records without holding more than one of them. In: bytes, as JSON lines or as one JSON
array. Out: each record's own bytes with its number; what cannot be cut comes as a fault.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

BOM = b"\xef\xbb\xbf"
BLANK = b" \t\r\n"
QUOTE = ord('"')
CHUNK_BYTES = 256 * 1024
MAX_RECORD_BYTES = 32 * 1024 * 1024  # a picture of 20 MiB in base64, and its dialogue
QUOTED = re.compile(rb'["\\]')
# a whole string at a time; a quote alone is one whose end lies in a later chunk
STRUCTURE = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{},]', re.DOTALL)


@dataclass(frozen=True)
class Raw:
    """A line or an array's item, counted from 1; the last one where the file breaks off there."""

    number: int
    data: bytes
    fault: str | None = None
    breaks_off: bool = False


@dataclass(frozen=True)
class Cut:
    """How an upload is cut: what its records are called in messages, and the records."""

    what: str
    records: Iterator[Raw]


def cut(source: BinaryIO, max_bytes: int = MAX_RECORD_BYTES) -> Cut:
    """The records of a file that can be rewound; a byte order mark at its start is left out."""
    head = source.read(len(BOM))
    start = len(BOM) if head == BOM else 0
    source.seek(start)
    first = b""
    while not first and (chunk := source.read(CHUNK_BYTES)):
        first = chunk.lstrip(BLANK)[:1]
    source.seek(start)
    if first == b"[":
        return Cut("item", _items(source, max_bytes))
    return Cut("line", _lines(source, max_bytes))


def _lines(source: BinaryIO, max_bytes: int) -> Iterator[Raw]:
    number = 0
    while line := source.readline(max_bytes + 1):
        number += 1
        if line.endswith(b"\n") or len(line) <= max_bytes:
            yield Raw(number, line)
            continue
        while (more := source.readline(CHUNK_BYTES)) and not more.endswith(b"\n"):
            pass
        yield Raw(number, b"", _too_long(max_bytes))


def _items(source: BinaryIO, max_bytes: int) -> Iterator[Raw]:
    """The array's items; each is JSON or not by itself, so only what is between them is looked at here."""
    marks, depth, number = _Marks(), 0, 0
    item = _Item(max_bytes)
    while chunk := source.read(CHUNK_BYTES):
        start = 0
        for place, mark in marks.of(chunk):
            depth += (mark in b"[{") - (mark in b"]}")
            if depth == 1 and mark == b"[":
                start = place + 1
            elif (depth == 1 and mark == b",") or depth == 0:
                item.take(chunk[start:place])
                start = place + 1
                if depth or number or not item.blank:  # [] has no item
                    number += 1
                    yield item.done(number)
                if depth == 0:
                    yield from _end(mark, chunk[start:], source, number + 1)
                    return
        item.take(chunk[start:])
    yield _broken_off(
        number + 1, "the array does not end: the file is cut off, or a quote or bracket is missing"
    )


def _end(mark: bytes, rest: bytes, source: BinaryIO, number: int) -> Iterator[Raw]:
    if mark != b"]":
        yield _broken_off(number, "expected the array's closing bracket, got a brace too many")
        return
    while not rest.strip(BLANK) and (rest := source.read(CHUNK_BYTES)):
        pass
    if rest:
        yield _broken_off(number, "expected nothing behind the array's closing bracket")


def _broken_off(number: int, fault: str) -> Raw:
    return Raw(number, b"", fault, breaks_off=True)


class _Item:
    """The pieces of the item that is being read; dropped where they are too many."""

    def __init__(self, max_bytes: int):
        self.max_bytes = max_bytes
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def blank(self) -> bool:
        return self._size <= self.max_bytes and not b"".join(self._pieces).strip(BLANK)

    def take(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self.max_bytes:
            self._pieces = []
        elif piece:
            self._pieces.append(piece)

    def done(self, number: int) -> Raw:
        """The whole item, and a new beginning."""
        too_long = self._size > self.max_bytes
        data = b"".join(self._pieces)
        self._pieces, self._size = [], 0
        if too_long:
            return Raw(number, b"", _too_long(self.max_bytes))
        return Raw(number, data, None if data.strip(BLANK) else "is empty; there is a comma too many")


class _Marks:
    """Brackets, braces and commas outside of strings; remembers across chunks whether it is inside of one."""

    def __init__(self) -> None:
        self._quoted = self._escaped = False

    def of(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        at, self._escaped = int(self._escaped), False
        while found := (QUOTED if self._quoted else STRUCTURE).search(chunk, at):
            at = found.end()
            if found[0] == b"\\":
                self._escaped = at == len(chunk)
                at += 1
            elif found[0] == b'"':
                self._quoted = not self._quoted
            elif found[0][0] != QUOTE:
                yield found.start(), found[0]


def _too_long(max_bytes: int) -> str:
    return f"is longer than {max_bytes} bytes; send its picture as comd-image: or split the dialogue"
