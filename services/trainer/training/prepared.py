"""Prepared examples on disk. In: token ids, labels and the picture of each part. Out: the same, mapped into memory.

They are made once, by several processes, and read by every rank: 80,000 pictures' dialogues are about 50 million
tokens, 400 MB that the ranks of a machine share instead of 2 GB of Python numbers in each.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from services.trainer import durable


@dataclass(frozen=True)
class Example:
    """One dialogue: `input_ids` and `labels` of equal length, and the URL of its picture."""

    input_ids: Sequence[int]
    labels: Sequence[int]
    image: str | None


@dataclass
class Counts:
    """`turns` are trained on, `left_out` are single turns beyond the length limit."""

    records: int = 0
    turns: int = 0
    left_out: int = 0
    tokens: int = 0


@dataclass
class Shard:
    """What one process has prepared, to be written at its end."""

    counts: Counts = field(default_factory=Counts)
    examples: list[tuple[tuple[int, int], Example]] = field(default_factory=list)

    def add(self, line: int, part: int, example: Example) -> None:
        self.examples.append(((line, part), example))
        self.counts.tokens += len(example.input_ids)

    def write(self, folder: Path, number: int) -> None:
        """The shard's arrays, on disk when this returns."""
        folder.mkdir(exist_ok=True)
        examples = [example for _, example in self.examples]
        arrays: dict[str, NDArray[Any]] = {
            "ids": _joined([example.input_ids for example in examples]),
            "labels": _joined([example.labels for example in examples]),
            "ends": np.cumsum([0, *(len(example.input_ids) for example in examples)], dtype=np.int64),
            "places": np.array([place for place, _ in self.examples], dtype=np.int64).reshape(-1, 2),
        }
        for name, array in arrays.items():
            np.save(folder / f"{name}-{number}.npy", array)
            durable.flush_file(folder / f"{name}-{number}.npy")
        about = {"counts": asdict(self.counts), "images": [example.image for example in examples]}
        durable.write(folder / f"about-{number}.json", orjson.dumps(about))


class Examples:
    """All examples of a job in the order of the training file; a dataset for torch's DataLoader."""

    def __init__(self, folder: Path):
        abouts = [orjson.loads(path.read_bytes()) for path in _numbered(folder, "about")]
        self._images: list[list[str | None]] = [about["images"] for about in abouts]
        self._ids, self._labels, self._ends, places = (
            [np.load(path, mmap_mode="r") for path in _numbered(folder, name)]
            for name in ("ids", "labels", "ends", "places")
        )
        self.counts = Counts()
        for about in abouts:
            for name, value in about["counts"].items():
                setattr(self.counts, name, getattr(self.counts, name) + value)
        origins = [(shard, at) for shard, ends in enumerate(self._ends) for at in range(len(ends) - 1)]
        lines = np.concatenate(places)
        self._origins = np.array(origins, dtype=np.int64).reshape(-1, 2)[
            np.lexsort((lines[:, 1], lines[:, 0]))
        ]

    def __len__(self) -> int:
        return len(self._origins)

    def __getitem__(self, at: int) -> Example:
        shard, place = (int(number) for number in self._origins[at])
        start, end = self._ends[shard][place : place + 2]
        return Example(
            self._ids[shard][start:end], self._labels[shard][start:end], self._images[shard][place]
        )

    @property
    def lengths(self) -> list[int]:
        """Tokens of each example."""
        sizes = [np.diff(ends) for ends in self._ends]
        return [int(sizes[shard][place]) for shard, place in self._origins]

    @property
    def has_pictures(self) -> bool:
        return any(image is not None for images in self._images for image in images)


def _joined(rows: list[Sequence[int]]) -> NDArray[np.int32]:
    return np.concatenate([np.asarray(row, dtype=np.int32) for row in rows] or [np.zeros(0, dtype=np.int32)])


def _numbered(folder: Path, name: str) -> list[Path]:
    return sorted(folder.glob(f"{name}-*"), key=lambda path: int(path.stem.rpartition("-")[2]))
