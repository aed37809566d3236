"""A pool as Parquet, one row an instruction, that `datasets` reads; with the pictures' bytes where they are wanted.

In: a pool's rows. Out: bytes to stream; no more than a row group is in memory.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from services.coordinator.merge import picture_of
from shared.types import JsonObject

ROWS_IN_GROUP = 10_000
PICTURE_BYTES_IN_GROUP = 32 * 1024 * 1024
COLUMNS = {
    "id": "int64",
    "text": "string",
    "answer": "string",
    "image_sha256": "string",
    "task_type": "string",
    "origin": "string",
    "parent": "int64",
    "born_in": "int64",
    "dialogue": "string",
    "turn": "int64",
    "teacher_revision": "string",
    "prompt_version": "string",
    "request_hash": "string",
    "run": "string",
    "iteration": "int64",
}
PICTURE = pa.struct({"bytes": pa.binary(), "path": pa.string()})

ReadPicture = Callable[[str], bytes]


async def parquet_file(
    batches: AsyncIterator[list[JsonObject]], of: JsonObject, read_picture: ReadPicture | None
) -> AsyncIterator[bytes]:
    """The file's bytes, row group by row group."""
    schema = _schema(with_pictures=read_picture is not None)
    outbox = Outbox()
    writer = pq.ParquetWriter(pa.PythonFile(outbox, mode="w"), schema, compression="zstd")
    waiting: list[JsonObject] = []
    async for batch in batches:
        waiting += [_row(row, of) for row in batch if row["answer"] is not None]
        if read_picture is None and len(waiting) < ROWS_IN_GROUP:
            continue
        async for part in _written(writer, outbox, _groups(waiting, read_picture)):
            yield part
        waiting = []
    async for part in _written(writer, outbox, _groups(waiting, read_picture)):
        yield part
    writer.close()
    yield outbox.take()


async def _written(
    writer: pq.ParquetWriter, outbox: "Outbox", groups: Iterator[list[JsonObject]]
) -> AsyncIterator[bytes]:
    """The bytes of each row group; reading pictures and writing is a thread's work."""

    def write_next() -> bytes | None:
        if (group := next(groups, None)) is None:
            return None
        writer.write_table(pa.Table.from_pylist(group, schema=writer.schema))
        return outbox.take()

    while (part := await asyncio.to_thread(write_next)) is not None:
        yield part


class Outbox:
    """What the writer has written and nobody has sent yet; a file to pyarrow."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._written = 0

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """The bytes outlive the file."""

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _schema(with_pictures: bool) -> pa.Schema:
    """Columns and, for `datasets`, which of them is a picture."""
    fields = [pa.field(name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items()]
    features: JsonObject = {name: {"dtype": kind, "_type": "Value"} for name, kind in COLUMNS.items()}
    if with_pictures:
        fields.append(pa.field("image", PICTURE))
        features["image"] = {"_type": "Image"}
    return pa.schema(fields, {"huggingface": orjson.dumps({"info": {"features": features}})})


def _row(row: JsonObject, of: JsonObject) -> JsonObject:
    told = {"image_sha256": picture_of(row["image"]), "teacher_revision": row["model_revision"]}
    whole = {**row, **told, "run": of["run"], "iteration": of["iteration"]}
    return {name: whole[name] for name in COLUMNS}


def _groups(rows: list[JsonObject], read_picture: ReadPicture | None) -> Iterator[list[JsonObject]]:
    """Rows of one row group each; pictures are read here, so that few are in memory at once."""
    if read_picture is None:
        if rows:
            yield rows
        return
    group, num_bytes = list[JsonObject](), 0
    for row in rows:
        sha256 = row["image_sha256"]
        picture = None if sha256 is None else {"bytes": read_picture(sha256), "path": sha256}
        group.append({**row, "image": picture})
        num_bytes += len(picture["bytes"]) if picture else 0
        if num_bytes >= PICTURE_BYTES_IN_GROUP:
            yield group
            group, num_bytes = [], 0
    if group:
        yield group
