"""The selection by Ray Data on this machine beside the local one: the same files, row for row."""

import subprocess
import sys
from pathlib import Path

import pytest

from services.trainer.captions import choosing, on_ray
from tests.caption_sets import chosen_slowly, planted, read, write_parts

WITHIN_S = 300
CHOOSE = """
import sys
from pathlib import Path
from services.trainer.captions import on_ray
on_ray.choose(Path(sys.argv[1]), min_frequency=3, cap=10, seed=4, memory_mib=512, address="local")
"""


@pytest.mark.cluster
def test_ray_and_local_are_equal(tmp_path: Path) -> None:
    """Ray in a process of its own: it leaves threads and handlers behind."""
    frequencies = {f"phrase {number}": 1 + 150 // (number + 1) for number in range(60)} | {
        "公园": 120,
        "it's|": 7,
        "": 4,
    }
    rows = planted(frequencies, repeated=40)
    write_parts(tmp_path / "ray", rows, 5)
    write_parts(tmp_path / "local", rows[::-1], 2)
    given = {"min_frequency": 3, "cap": 10, "seed": 4, "memory_mib": 512}
    subprocess.run([sys.executable, "-c", CHOOSE, tmp_path / "ray"], check=True, timeout=WITHIN_S)
    choosing.choose(tmp_path / "local", **given)
    assert read(tmp_path / "ray") == read(tmp_path / "local") == chosen_slowly(rows, 3, 10, 4)
    assert not (tmp_path / "ray" / "on-ray").exists()


def test_what_ray_writes_no_file_for_is_empty(tmp_path: Path) -> None:
    write_parts(tmp_path, planted({"a phrase": 2}, repeated=0), 1)
    counts = on_ray._in_order(tmp_path, choosing.parts_of(tmp_path), tmp_path / "on-ray", 3, 512)
    assert counts == choosing.Chosen(pairs_in=4, duplicates=0, pairs_out=0, phrases=0, phrases_kept=0)
    assert read(tmp_path).selected == []
