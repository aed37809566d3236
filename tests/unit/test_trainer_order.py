"""The order of records: each once, like lengths together, a function of the seed alone."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.training.order import GroupedByLength, epoch_order, padding_share


@given(st.lists(st.integers(1, 500), min_size=1, max_size=300), st.integers(1, 20), st.integers(0, 5))
def test_each_record_is_taken_once(lengths: list[int], batch_size: int, epoch: int) -> None:
    order = epoch_order(lengths, batch_size, 7, epoch)
    assert sorted(order) == list(range(len(lengths)))
    assert order == epoch_order(lengths, batch_size, 7, epoch)


def test_epochs_and_seeds_differ() -> None:
    lengths = [Random(at).randrange(10, 100) for at in range(200)]
    orders = {tuple(epoch_order(lengths, 8, seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4


def test_the_longest_record_is_in_the_first_batch() -> None:
    for seed in range(20):
        lengths = [Random(seed * 1000 + at).randrange(10, 1000) for at in range(96)]
        assert max(lengths) in [lengths[at] for at in epoch_order(lengths, 8, seed, 0)[:8]]


def test_grouping_leaves_little_padding() -> None:
    rng = Random(1)
    lengths = [int(rng.lognormvariate(5, 0.7)) + 1 for _ in range(2000)]
    shuffled = rng.sample(range(2000), 2000)
    assert padding_share(lengths, shuffled, 16) > 0.4
    assert padding_share(lengths, epoch_order(lengths, 16, 0, 0), 16) < 0.15


def test_batches_come_in_random_order() -> None:
    lengths = list(range(1, 401))
    firsts = [lengths[at] for at in epoch_order(lengths, 8, 3, 0)[8::8]]
    assert firsts != sorted(firsts)
    assert firsts != sorted(firsts, reverse=True)


@pytest.mark.parametrize(
    ("lengths", "micro", "share"), [([4, 4], 2, 0.0), ([1, 3], 2, 1 / 3), ([1, 3], 1, 0.0)]
)
def test_the_padding_share_counts_empty_places(lengths: list[int], micro: int, share: float) -> None:
    assert padding_share(lengths, range(len(lengths)), micro) == pytest.approx(share)


def test_the_sampler_follows_its_epoch() -> None:
    sampler = GroupedByLength([5, 9, 2, 7] * 10, 4, 1)
    first = list(sampler)
    sampler.epoch = 1
    assert len(sampler) == 40
    assert list(sampler) != first
