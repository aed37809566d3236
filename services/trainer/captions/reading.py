"""Reads caption sets. In: files, by their suffix JSON, JSON lines, CSV, TSV or Parquet. Out, one by one in their
order: a caption, or what was refused and why; no file is ever whole in memory.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from services.trainer.captions.records import Broken, Caption, Record, caption_of
from services.trainer.captions.tables import csv_records, parquet_records, tsv_records
from services.trainer.json_stream import cut
from shared.errors import ConfigError, Unprocessable

__all__ = ["Caption", "Located", "Refused", "located_captions", "read_captions"]

MAX_RECORD_BYTES = 1024 * 1024  # far more than a caption's record takes; more is never in memory


class Refused(NamedTuple):
    """A record that is no caption; `position` is its place in its file, from 1: a line, an item or a row."""

    source: str
    position: int
    id: str | None
    reason: str


Located = tuple[str, int, Caption | Refused]  # what was read, and in which file and where it stands


def read_captions(files: Sequence[Path]) -> Iterator[Caption | Refused]:
    """Every record of every file. Where a file breaks off or is of another form, an error says where."""
    return (read for _, _, read in located_captions(files))


def located_captions(files: Sequence[Path]) -> Iterator[Located]:
    """The same, each with its file and its place there."""
    begun = [(file, _records(file)) for file in files]  # what is wrong with a file's form is told at once
    return chain.from_iterable(_read(str(file), records) for file, records in begun)


def _records(file: Path) -> Iterator[Record]:
    read = READERS.get(file.suffix.lower())
    if read is None:
        known = ", ".join(READERS)
        raise ConfigError(
            f"{file}: expected a caption file that ends in one of {known}; rename or convert it"
        )
    if not file.is_file():
        raise ConfigError(f"{file}: there is no such file")
    return read(file)


def _read(source: str, records: Iterator[Record]) -> Iterator[Located]:
    for position, value in records:
        try:
            yield source, position, caption_of(value)
        except Broken as broken:
            yield source, position, Refused(source, position, broken.id, broken.reason)


def _json_records(file: Path) -> Iterator[Record]:
    """A list, or a record a line, whichever the file holds; one that is not JSON does not spoil the others."""
    with file.open("rb") as content:
        pieces = cut(content, MAX_RECORD_BYTES)
        for raw in pieces.records:
            if raw.breaks_off:
                raise Unprocessable(
                    f"{file}, {pieces.what} {raw.number}: {raw.fault}; mend it or leave it out"
                )
            if raw.fault:
                yield raw.number, Broken("record is empty or too long")
            elif raw.data.strip():
                yield raw.number, _decoded(raw.data)


def _decoded(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return Broken("record is not JSON")


READERS: dict[str, Callable[[Path], Iterator[Record]]] = {
    ".json": _json_records,
    ".jsonl": _json_records,
    ".csv": csv_records,
    ".tsv": tsv_records,
    ".parquet": parquet_records,
}
