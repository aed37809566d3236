"""The parts of a work folder. In: captions with their phrases, and what was refused. Out: two Parquet files for each
part, that of the captions last: where it is, the part is whole.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from services.trainer.captions.reading import Caption, Refused
from services.trainer.durable import write

CAPTIONS = pa.schema(
    {
        "id": pa.string(),
        "image": pa.string(),
        "text": pa.string(),
        "phrases": pa.list_(pa.string()),
        "row": pa.int64(),
    }
)
REFUSED = pa.schema({"source": pa.string(), "position": pa.int64(), "id": pa.string(), "reason": pa.string()})


def folders(work: Path) -> tuple[Path, Path]:
    return work / "captions", work / "refused"


def exists(work: Path, number: int) -> bool:
    return (folders(work)[0] / _name(number)).exists()


def write_part(
    work: Path,
    number: int,
    captions: Mapping[int, Caption],
    phrases: Sequence[Sequence[str]],
    refused: Sequence[Refused],
) -> None:
    """`captions` by their row in the whole input, `phrases` in the same order."""
    table = [list(captions.values()), phrases, list(captions)]
    rows = [(*caption, spoken, row) for caption, spoken, row in zip(*table, strict=True)]
    of_captions, of_refused = (folder / _name(number) for folder in folders(work))
    write(of_refused, _parquet(REFUSED, refused))
    write(of_captions, _parquet(CAPTIONS, rows))


def _parquet(schema: pa.Schema, rows: Sequence[tuple[Any, ...]]) -> bytes:
    written = BytesIO()
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    table = pa.table(
        [pa.array(column, one.type) for column, one in zip(columns, schema, strict=True)], schema
    )
    pq.write_table(table, written)
    return written.getvalue()


def _name(number: int) -> str:
    return f"part-{number:05d}.parquet"
