"""Speed out of the lines that a training wrote. In: lines, and the tokens of each step. Out: tokens per second."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from services.trainer.training.order import epoch_order


@dataclass(frozen=True)
class Speed:
    """Over the steps after the first few; `peak_bytes` is the most that the first device held."""

    steps: int
    seconds: float
    tokens: int
    peak_bytes: int
    losses: list[float]

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.seconds


def of_job(progress: Path, batches: Sequence[Sequence[int]], left_out: int) -> Speed:
    """A job's speed. Its progress gives the rate since training began, so time is records over rate."""
    lines = [json.loads(line) for line in progress.read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "step"]
    assert len(steps) == len(batches), f"{len(steps)} steps were written, {len(batches)} expected"
    size = len(batches[0])
    ends = [line["step"] * size / line["samples_per_s"] for line in steps]
    return _speed(steps, ends, list(accumulate(map(sum, batches))), left_out)


def of_peer(lines: Path, left_out: int) -> Speed:
    """The peer's, which has written when each step ended and how many tokens it had seen by then."""
    steps = [json.loads(line) for line in lines.read_text().splitlines()]
    return _speed(
        steps, [line["seconds"] for line in steps], [int(line["num_tokens"]) for line in steps], left_out
    )


def batches_of(lengths: Sequence[int], batch_size: int, seed: int) -> list[list[int]]:
    """The lengths of the records of each step of a job of one epoch."""
    order = epoch_order(lengths, batch_size, seed, 0)
    return [
        [lengths[at] for at in order[start : start + batch_size]]
        for start in range(0, len(order), batch_size)
    ]


def _speed(steps: list[dict[str, Any]], ends: list[float], tokens: list[int], left_out: int) -> Speed:
    return Speed(
        steps=len(steps) - left_out,
        seconds=ends[-1] - ends[left_out - 1],
        tokens=tokens[-1] - tokens[left_out - 1],
        peak_bytes=max(int(line["peak_memory_bytes"]) for line in steps),
        losses=[float(line["loss"]) for line in steps],
    )
