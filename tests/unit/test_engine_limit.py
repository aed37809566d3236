"""The adaptive limit against an engine in virtual time that queues beyond its slots and never refuses."""

import random

import pytest

from shared.engine.limit import CAREFUL_GROWTH, Limit
from tests.doubles.simulated_engine import Seen, log_normal, simulate

SEEDS = (0, 1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("median_s", [0.02, 2.0, 20.0])
@pytest.mark.parametrize("sigma", [0.2, 0.8])
def test_slots_are_found_whatever_the_latency(median_s: float, sigma: float, seed: int) -> None:
    seen = simulate(Limit(), lambda now: 32, log_normal(median_s, sigma), median_s * 200, seed)
    busy(seen, 32, median_s * 40, median_s * 200, least=0.95)


@pytest.mark.parametrize("seed", SEEDS)
def test_slots_halved_and_doubled_in_mid_run_are_found_again(seed: int) -> None:
    slots = lambda now: 16 if 600 <= now < 1200 else 32  # noqa: E731
    seen = simulate(Limit(), slots, log_normal(2.0, 0.8), 1800, seed)
    for slots_then, since in ((32, 0), (16, 600), (32, 1200)):
        busy(seen, slots_then, since + 150, since + 600, least=0.95)
        assert seen.mean("running", since, since + 600) >= 0.93 * slots_then  # finding them included


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("slots", "until", "since"), [(4, 2000, 500), (512, 260, 160)])
def test_few_slots_and_many(slots: int, until: float, since: float, seed: int) -> None:
    seen = simulate(Limit(), lambda now: slots, log_normal(2.0, 0.8), until, seed)
    busy(seen, slots, since, until, least=0.9)


@pytest.mark.parametrize("seed", SEEDS)
def test_very_heavy_tails(seed: int) -> None:
    seen = simulate(Limit(), lambda now: 32, log_normal(2.0, 1.2), 1500, seed)
    busy(seen, 32, 300, 1500, least=0.93)


@pytest.mark.parametrize(("slots", "doubles_at"), [(256, 64), (256, 256), (64, 64)])
def test_an_engine_that_slows_down_with_its_batch_is_filled(slots: int, doubles_at: int) -> None:
    """Calls take twice as long where `doubles_at` run, three times at twice that: throughput rises all the way."""

    def seconds(chance: random.Random, running: int) -> float:
        return chance.lognormvariate(0.0, 0.5) * (1 + running / doubles_at)

    full = slots / (1 + slots / doubles_at) / 2.718281828 ** (0.5**2 / 2)
    seen = simulate(Limit(), lambda now: slots, seconds, 400, 3)
    assert seen.rate(200, 400) >= 0.93 * full
    assert seen.mean("waiting", 200, 400) < slots


def test_calls_that_take_longer_from_now_on_are_not_taken_for_a_queue() -> None:
    now_s = [0.0]

    def seconds(chance: random.Random, running: int) -> float:
        return chance.lognormvariate(0.0, 0.8) * (2.0 if now_s[0] < 600 else 6.0)

    def slots(now: float) -> int:
        now_s[0] = now
        return 32

    seen = simulate(Limit(), slots, seconds, 2400, 1)
    busy(seen, 32, 1200, 2400, least=0.93)


@pytest.mark.parametrize("seed", SEEDS)
def test_where_the_engine_says_how_many_wait_that_alone_counts(seed: int) -> None:
    slots = lambda now: 256 if now < 100 else 128  # noqa: E731
    seen = simulate(Limit(), slots, log_normal(2.0, 0.8), 200, seed, tells_waiting=True)
    busy(seen, 256, 40, 100, least=0.97)
    busy(seen, 128, 130, 200, least=0.97)
    assert seen.mean("waiting", 130, 200) < 0.2 * 128


def test_a_burst_of_refusals_cuts_once_and_growth_is_careful_after_it() -> None:
    limit = Limit()
    limit.waiting(0, 8)  # follows the engine's own count, so that only it and refusals move the limit
    for _ in range(12):
        limit.waiting(0, limit.limit)
    before = limit.limit
    for _ in range(10):
        limit.refused(before)
    cut = limit.limit
    assert cut == pytest.approx(before * 0.75, abs=1)
    limit.waiting(0, cut)
    assert cut < limit.limit <= round(cut * CAREFUL_GROWTH) + 1


def test_an_engine_that_goes_on_refusing_is_asked_less_and_less() -> None:
    limit = Limit()
    for _ in range(100):
        limit.refused(limit.limit)
    assert limit.limit == 1


def test_calls_too_few_to_fill_the_limit_do_not_move_it() -> None:
    limit = Limit()
    for _ in range(500):
        limit.finished(1.0, 2)
    assert limit.limit == 8


def busy(seen: Seen, slots: int, since: float, until: float, least: float) -> None:
    """The slots were busy, and no more calls than slots waited, give or take two."""
    assert seen.mean("running", since, until) >= least * slots
    assert seen.mean("waiting", since, until) < slots + 2
