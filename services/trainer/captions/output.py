"""The selection as a file. In: the work folder's `selected.parquet`. Out: LLaVA's caption JSON, or Parquet.

Either is written row group by row group beside its place and renamed: whoever finds it finds all of it.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pyarrow.parquet as pq

from services.trainer import durable
from services.trainer.llava import MARKER
from shared.types import JsonObject

ROWS_AT_ONCE = 4096
SELECTED = "selected.parquet"


def write_llava(work: Path, out: Path, prompt: str) -> None:
    """LLaVA's caption format, one JSON list with a record a line, in the input's order.

    The picture stands before the prompt, or where the prompt itself has `<image>`; the trainer places it anew.
    """
    question = prompt if MARKER in prompt else f"{MARKER}\n{prompt}"
    with appearing(out) as draft, draft.open("wb") as file:
        separator = b"[\n"
        for row in rows(work / SELECTED, ["id", "image", "text"]):
            file.write(separator + orjson.dumps(_record(row, question)))
            separator = b",\n"
        file.write(b"\n]\n" if separator == b",\n" else b"[]\n")


def write_parquet(work: Path, out: Path) -> None:
    """All that is known of each pair: id, image, text, row of the input, and the phrase that chose it."""
    with appearing(out) as draft:
        shutil.copyfile(work / SELECTED, draft)


def rows(file: Path, columns: list[str]) -> Iterator[JsonObject]:
    """The rows of a Parquet file; a batch of them is in memory."""
    with pq.ParquetFile(file) as table:
        for batch in table.iter_batches(ROWS_AT_ONCE, columns=columns):
            yield from batch.to_pylist()


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """Where to write what is to appear as `out`, whole and on disk, once the context is left without an error."""
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{out.name}.part")
    try:
        yield draft
        durable.flush_file(draft)
        draft.replace(out)
        durable.flush_folder(out.parent)
    finally:
        draft.unlink(missing_ok=True)


def _record(row: JsonObject, question: str) -> JsonObject:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": row["text"]}]
    return {"id": row["id"], "image": row["image"], "conversations": turns}
