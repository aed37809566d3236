"""Two programs that take turns, so that what else the machine does falls on both alike.

In: calls of `step` from each. Out: of each turn its wall and CPU seconds; while one runs, the other waits.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from statistics import median
from typing import Any

TIMEOUT_S = 600.0  # for the other's turn: longer means that it is gone


@dataclass
class Turns:
    """One side. `step` is called after each step; after `size` of them it is the other's turn."""

    own: Semaphore
    other: Semaphore
    size: int
    total: int
    results: Path
    steps: int = 0

    def begin(self) -> None:
        """Wait for the first turn; to be called when all is ready to take a step."""
        self._times: list[tuple[float, float]] = []
        self._wait()

    def step(self) -> None:
        self.steps += 1
        if self.steps % self.size:
            return
        self._times.append((time.perf_counter() - self._wall, time.process_time() - self._cpu))
        self.other.release()
        if self.steps < self.total:
            self._wait()
        else:
            self.results.write_text(json.dumps(self._times))

    def _wait(self) -> None:
        if not self.own.acquire(timeout=TIMEOUT_S):
            raise TimeoutError("the other program took no turn; has it failed?")
        self._wall, self._cpu = time.perf_counter(), time.process_time()


def pair(size: int, total: int, first: Path, second: Path) -> tuple[Turns, Turns]:
    """Both sides; the first begins. `total` must be a multiple of `size`."""
    assert total % size == 0
    one, two = (get_context("fork").Semaphore(at) for at in (1, 0))
    return Turns(one, two, size, total, first), Turns(two, one, size, total, second)


def spread(ratios: Sequence[float]) -> dict[str, float]:
    """Of paired ratios what is quoted."""
    middle = {"median": median(ratios), "min": min(ratios), "max": max(ratios)}
    return {name: round(value, 4) for name, value in middle.items()}


def compared(ours: Path, bare: Path, left_out: int) -> dict[str, Any]:
    """Speed of ours over that of the other, by turn, in wall and in CPU seconds; the first turns are left out."""
    rows = zip(*(json.loads(path.read_text())[left_out:] for path in (ours, bare)), strict=True)
    pairs = list(rows)
    return {
        "turns": len(pairs),
        "wall_ratio": spread([bare[0] / ours[0] for ours, bare in pairs]),
        "cpu_ratio": spread([bare[1] / ours[1] for ours, bare in pairs]),
        "ours_cpu_s": round(sum(ours[1] for ours, _ in pairs), 3),
        "bare_cpu_s": round(sum(bare[1] for _, bare in pairs), 3),
    }
