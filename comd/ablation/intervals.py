"""Means over seeds with 95 % intervals. In: which held-out items were answered right. Out: value, low, high. Pure.

The bootstrap has two levels: seeds are drawn with replacement, then within each drawn seed the items of each kind.
Of n items of which w were won and l lost, n drawn with replacement have multinomial numbers of both: nothing is drawn
item by item.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS, SEED = 10_000, 0
SHARE = 0.95
Right = Mapping[str, str]  # by kind a sign for each question: 1 right, 0 wrong
Outcomes = NDArray[np.int64]  # (kinds, 3): questions won, lost and neither


@dataclass(frozen=True)
class Interval:
    """`value` is the mean over the seeds; `low` and `high` bound 95 % of the draws' means."""

    value: float
    low: float
    high: float
    seeds: int


def mean_accuracy(seeds: Sequence[Right]) -> Interval:
    """The mean over kinds of the share that was answered right; each seed has questions of its own."""
    return _interval([_counts(right, {}) for right in seeds])


def mean_difference(ours: Sequence[Right], theirs: Sequence[Right]) -> Interval:
    """Ours minus theirs on the same questions: paired seed by seed, and item by item within a seed."""
    return _interval([_counts(mine, other) for mine, other in zip(ours, theirs, strict=True)])


def accuracy(right: Right) -> float:
    """Of one seed."""
    return float(_net(_counts(right, {})))


def _counts(mine: Right, other: Right) -> Outcomes:
    """Won: right where the other is wrong, or has not been asked at all."""
    rows = []
    for kind, signs in sorted(mine.items()):
        theirs = other.get(kind, "0" * len(signs))
        pairs = list(zip(signs, theirs, strict=True))
        won, lost = pairs.count(("1", "0")), pairs.count(("0", "1"))
        rows.append((won, lost, len(signs) - won - lost))
    return np.array(rows, dtype=np.int64)


def _net(counts: Outcomes) -> NDArray[np.float64]:
    """Won minus lost as a share of a kind's questions, the mean over kinds. (..., kinds, 3) -> (...)"""
    share: NDArray[np.float64] = (counts[..., 0] - counts[..., 1]) / counts.sum(axis=-1)
    return np.asarray(share.mean(axis=-1))


def _interval(seeds: Sequence[Outcomes]) -> Interval:
    counts = np.stack(seeds)  # (seeds, kinds, 3)
    rng = np.random.default_rng(SEED)
    drawn = counts[rng.integers(len(seeds), size=(DRAWS, len(seeds)))]  # (draws, seeds, kinds, 3)
    num = drawn.sum(axis=-1)
    means = _net(rng.multinomial(num, drawn / num[..., None])).mean(axis=-1)  # (draws,)
    low, high = np.quantile(means, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return Interval(float(_net(counts).mean()), float(low), float(high), len(seeds))
