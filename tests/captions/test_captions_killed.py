"""A selection that is killed in its middle and called again gives what an undisturbed one gives."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.trainer.captions.choosing import choose
from tests.caption_sets import planted, read, write_parts

GIVEN = {"min_frequency": 3, "cap": 50, "seed": 1, "memory_mib": 512}
PROGRAM = f"""
import sys
from pathlib import Path
from services.trainer.captions.choosing import choose
choose(Path(sys.argv[1]), **{GIVEN})
"""


@pytest.mark.parametrize("seen", [".counted.part", "counted-*"])
def test_killed_and_called_again(tmp_path: Path, seen: str) -> None:
    rows = planted({f"phrase {number}": 6000 // (number + 1) for number in range(2000)}, repeated=500)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    write_parts(killed, rows, 4)
    write_parts(whole, rows, 4)
    _kill_once_there(killed, seen)
    assert not (killed / "selected.parquet").exists()
    assert choose(killed, **GIVEN) == choose(whole, **GIVEN)
    assert read(killed) == read(whole)
    assert sorted(path.name for path in killed.iterdir() if not path.name.startswith("counted-")) == [
        "captions",
        "duplicates.parquet",
        "phrases.parquet",
        "selected.parquet",
    ]


def _kill_once_there(work: Path, seen: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(work)])
    deadline = time.monotonic() + 60
    while not any(work.glob(seen)):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
