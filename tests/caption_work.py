"""A work folder as extraction and choosing leave it, from captions with their phrases. The choosing here is the slow,
plain reading of the algorithm.
"""

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Captions = dict[str, list[str]]  # a caption's id -> its phrases


def make_work(
    folder: Path, captions: Captions, min_frequency: int = 3, cap: int = 100, seed: int = 0
) -> Path:
    """`selected.parquet` and `phrases.parquet` below `folder`; the text of a caption is its phrases in a row."""
    having: dict[str, list[str]] = defaultdict(list)
    for name, phrases in captions.items():
        for phrase in phrases:
            having[phrase].append(name)
    reason: dict[str, tuple[int, str]] = {}
    for phrase, names in having.items():
        if len(names) >= min_frequency:
            for name in sorted(names, key=lambda name: _draw(seed, phrase, name))[:cap]:
                reason[name] = min(reason.get(name, (len(names), phrase)), (len(names), phrase))
    selected = [
        {
            "id": name,
            "image": f"{name}.jpg",
            "text": " and ".join(phrases),
            "row": row,
            "phrase": reason[name][1],
            "frequency": reason[name][0],
        }
        for row, (name, phrases) in enumerate(captions.items())
        if name in reason
    ]
    table = [
        {"phrase": phrase, "frequency": len(names), "selected": sum(name in reason for name in names)}
        for phrase, names in having.items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "selected.parquet", selected, ["id", "image", "text", "row", "phrase", "frequency"])
    write_table(folder / "duplicates.parquet", [], ["id", "row"])
    ordered = sorted(table, key=lambda row: (row["frequency"], row["phrase"]))
    write_table(folder / "phrases.parquet", ordered, ["phrase", "frequency", "selected"])
    return folder


NUMBERS = {"row", "frequency", "selected", "position"}


def write_table(file: Path, rows: list[dict[str, Any]], columns: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    types = {name: pa.int64() if name in NUMBERS else pa.string() for name in columns}
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(list(types.items()))), file)


def _draw(seed: int, phrase: str, name: str) -> str:
    return hashlib.sha256(f"{seed}|{phrase}|{name}".encode()).hexdigest()
