"""Percentile bootstrap over items. In: what each item reached, out of what. Out: the ratio of the sums in per cent,
with its 95 % interval. Pure, and the same for the same seed.

An item is drawn with replacement as often as there are items, 2,000 times. Items that reached the same count as one
with a weight: a draw of 14,000 right or wrong answers is then one draw of a binomial.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

DRAWS = 2_000
TAILS = (0.025, 0.975)

Pair = tuple[float, float]
Outcome = TypeVar("Outcome", bound=Hashable)


@dataclass(frozen=True)
class Interval:
    value: float
    low: float
    high: float


def ratio(pairs: Sequence[Pair], seed: Sequence[int]) -> Interval | None:
    """Sum of the firsts over sum of the seconds; None without items."""
    if not pairs:
        return None
    outcomes, times, drawn = _draws(pairs, seed)
    return _interval(_per_cent(times, outcomes), _per_cent(drawn, outcomes))


def difference(pairs: Sequence[tuple[Pair, Pair]], seed: Sequence[int]) -> Interval | None:
    """The ratio of ours minus that of theirs, an item's two results always drawn together."""
    if not pairs:
        return None
    outcomes, times, drawn = _draws(pairs, seed)
    ours, theirs = outcomes[:, 0], outcomes[:, 1]
    return _interval(
        _per_cent(times, ours) - _per_cent(times, theirs), _per_cent(drawn, ours) - _per_cent(drawn, theirs)
    )


def _draws(
    results: Sequence[Outcome], seed: Sequence[int]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The different outcomes, how often each was there, and how often in each draw (draws, outcomes)."""
    counted = sorted(Counter(results).items())
    outcomes = np.array([outcome for outcome, _ in counted])
    times = np.array([num for _, num in counted])
    random = np.random.default_rng([abs(part) for part in seed])
    return outcomes, times, random.multinomial(len(results), times / len(results), size=DRAWS)


def _per_cent(times: NDArray[Any], pairs: NDArray[Any]) -> NDArray[Any]:
    reached, out_of = np.moveaxis(times @ pairs, -1, 0)
    return np.asarray(100.0 * reached / out_of)


def _interval(value: NDArray[Any], drawn: NDArray[Any]) -> Interval:
    low, high = np.quantile(drawn, TAILS)
    return Interval(float(value), float(low), float(high))
