"""Records of tables. In: a CSV, TSV or Parquet file with columns by the names of a flat record's fields, in any case.
Out: its rows as records. A TSV without such a header has two columns: caption and image URL, as CC3M is published.
"""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from services.trainer.captions.records import IMAGE_FIELDS, TEXT_FIELDS, Broken, Record
from shared.errors import ConfigError, Unprocessable, told

if TYPE_CHECKING:
    import _csv

COLUMNS = ("id", *IMAGE_FIELDS, *TEXT_FIELDS)
CC3M = ["caption", "url"]
ROWS_AT_ONCE = 4096


def csv_records(file: Path) -> Iterator[Record]:
    names = _first_row(file, ",")
    if not _is_header(names):
        raise ConfigError(
            f"{file}: expected a first line with {_wanted()}, got {told(names)}; add such a line"
        )
    return _rows(file, ",", names, quoted=True)


def tsv_records(file: Path) -> Iterator[Record]:
    names = _first_row(file, "\t")
    if _is_header(names):
        return _rows(file, "\t", names, quoted=True)
    if len(names) == len(CC3M):
        return _rows(file, "\t", None, quoted=False)
    raise ConfigError(
        f"{file}: expected a first line with {_wanted()}, or two columns without a header, caption and URL; "
        f"got {told(names)}"
    )


def parquet_records(file: Path) -> Iterator[Record]:
    with _readable(file), pq.ParquetFile(file) as table:
        names = table.schema_arrow.names
    if not _is_header(names):
        raise ConfigError(f"{file}: expected columns {_wanted()}, got {told(names)}; rename them")
    return _parquet_rows(file, [name for name in names if name.lower() in COLUMNS])


def _parquet_rows(file: Path, names: list[str]) -> Iterator[Record]:
    keys = [name.lower() for name in names]
    position = 0
    with _readable(file), pq.ParquetFile(file) as table:
        for batch in table.iter_batches(ROWS_AT_ONCE, columns=names):
            for values in zip(*(_values(batch.column(name)) for name in names), strict=True):
                position += 1
                yield position, dict(zip(keys, values, strict=True))


def _values(column: pa.Array) -> list[Any]:
    """A file's text may be no UTF-8; such bytes come as half characters."""
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        written = column.cast(pa.binary()).to_pylist()
        return [None if one is None else one.decode(errors="surrogateescape") for one in written]


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise Unprocessable(f"{file}: cannot be read as Parquet: {error}; mend it or leave it out") from error


def _wanted() -> str:
    return f"{' or '.join(IMAGE_FIELDS)}, {' or '.join(TEXT_FIELDS)} and, where there is one, id"


def _is_header(names: list[str]) -> bool:
    lowered = {name.lower() for name in names}
    return bool(lowered & set(IMAGE_FIELDS)) and bool(lowered & set(TEXT_FIELDS))


def _first_row(file: Path, delimiter: str) -> list[str]:
    with _opened(file) as content:
        rows = _reader(content, delimiter, quoted=delimiter == ",")  # a TSV's may be a caption already
        return [name.strip(' "') for name in next(rows, [])]


def _rows(file: Path, delimiter: str, names: list[str] | None, *, quoted: bool) -> Iterator[Record]:
    keys = [name.lower() for name in names or CC3M]
    with _opened(file) as content:
        rows = _reader(content, delimiter, quoted)
        while True:
            position = rows.line_num + 1
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error:
                yield position, Broken("row cannot be read")
                continue
            if names is not None and position == 1:
                continue
            if len(row) == len(keys):
                yield position, dict(zip(keys, row, strict=True))
            elif row:
                yield position, Broken("row has another number of columns")


def _opened(file: Path) -> TextIO:
    """Bytes that are no UTF-8 come as half characters, which no caption may hold."""
    return file.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _reader(content: TextIO, delimiter: str, quoted: bool) -> "_csv.Reader":
    return csv.reader(content, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
