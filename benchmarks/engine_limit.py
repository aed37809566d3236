"""The adaptive limit in virtual time: the experiment of `benchmarks.engine_concurrency`, over many seeds in seconds.

In: `python -m benchmarks.engine_limit --seeds 24`. Out: the share of the slots' time in which they were busy, by half.
"""

import argparse
from statistics import mean

from shared.engine.limit import Limit
from tests.doubles.simulated_engine import log_normal, simulate

HALF_S, STARTS_S = 160.0, 40.0
SLOTS = (32, 16)


def used(seed: int) -> tuple[float, float]:
    """Of each half, its start left out; latencies are those of the experiment in real time."""
    seen = simulate(Limit(), lambda now: SLOTS[now >= HALF_S], log_normal(2.0, 0.8), 2 * HALF_S, seed)
    first, second = (
        seen.mean("running", half * HALF_S + STARTS_S, (half + 1) * HALF_S) / SLOTS[half] for half in (0, 1)
    )
    return first, second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=24)
    halves = zip(*(used(seed) for seed in range(parser.parse_args().seeds)), strict=True)
    for slots, shares in zip(SLOTS, halves, strict=True):
        print(f"{slots} slots: {mean(shares):.3f} ({min(shares):.3f} - {max(shares):.3f})")


if __name__ == "__main__":
    main()
