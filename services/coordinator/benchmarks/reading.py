"""Reads a benchmark in its official layout. In: its kind, a folder, a split where it has any. Out: its items, or
Unprocessable naming everything that is missing or malformed, and where the data are published.
"""

from pathlib import Path

from services.coordinator.benchmarks import llava_bench, scienceqa, seed_bench
from services.coordinator.benchmarks.items import Item, Kind, Reading
from shared.errors import Unprocessable

READERS = {"scienceqa": scienceqa.read, "seed-bench": seed_bench.read, "llava-bench": llava_bench.read}


def read(kind: Kind, folder: Path, split: str | None = None) -> Reading:
    """The items and what was left out on purpose; without a split, ScienceQA's is `test`."""
    if not folder.is_dir():
        raise Unprocessable(f"{folder} is not a folder; expected the folder of {kind}'s files")
    return READERS[kind](folder, split)


def read_benchmark(kind: Kind, folder: Path, split: str | None) -> list[Item]:
    """The items alone, in the order of the files."""
    return read(kind, folder, split).items
