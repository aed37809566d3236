"""Caption sets with phrases given, as Parquet parts: how often a phrase comes goes by Zipf's law.

In: a folder, how many captions, a seed. Out: `captions/part-NNNNN.parquet` with about three phrases a caption: phrase
number k of five million comes 1/k as often as the first, which is in one caption of eight.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

PHRASES, PART = 5_000_000, 250_000
SYLLABLES = (
    "ba",
    "der",
    "lo",
    "mi",
    "kan",
    "tu",
    "ste",
    "vor",
    "ri",
    "sel",
    "pa",
    "gon",
    "he",
    "dun",
    "fi",
    "wa",
)
WORDS = pa.array([a + b + c for a in SYLLABLES for b in SYLLABLES for c in SYLLABLES])


def write_parts(work: Path, num_captions: int, seed: int = 0) -> None:
    """Part by part, each drawn by a seed of its own."""
    folder = work / "captions"
    folder.mkdir(parents=True, exist_ok=True)
    for number, first in enumerate(range(0, num_captions, PART)):
        rows = np.arange(first, min(num_captions, first + PART))
        table = _part(np.random.default_rng([seed, number]), rows)
        pq.write_table(table, folder / f"part-{number:05d}.parquet")


def _part(drawn: np.random.Generator, rows: np.ndarray) -> pa.Table:
    counts = drawn.integers(1, 6, len(rows))
    caption = np.repeat(np.arange(len(rows)), counts)
    rank = np.floor(PHRASES ** drawn.random(len(caption))).astype(np.int64)
    caption, rank = np.divmod(np.unique(caption * PHRASES + rank), PHRASES)  # distinct within a caption
    offsets = np.searchsorted(caption, np.arange(len(rows) + 1))
    names = _phrases(rank)
    ids = pc.binary_join_element_wise("c", pc.utf8_lpad(pc.cast(pa.array(rows), pa.string()), 10, "0"), "")
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), names)
    columns = {
        "id": ids,
        "image": pc.binary_join_element_wise(ids, "jpg", "."),
        "text": pc.binary_join(lists, " beside "),
        "phrases": lists,
        "row": pa.array(rows, pa.int64()),
    }
    return pa.table(columns)


def _phrases(rank: np.ndarray) -> pa.Array:
    """Two words of made-up syllables: every number has its own pair."""
    first, second = np.divmod(rank, len(WORDS))
    return pc.binary_join_element_wise(WORDS.take(pa.array(first)), WORDS.take(pa.array(second)), " ")
