"""Model FLOPs against a calculation by hand; the devices' table."""

import pytest

from benchmarks.gpu.devices import peak_flops, sharding
from benchmarks.gpu.flops import Sizes, language_weights, picture_flops, training_flops, utilisation
from shared.errors import ConfigError

SMALL = Sizes(
    hidden=8,
    layers=2,
    intermediate=16,
    key_value=4,
    vocabulary=10,
    vision_hidden=4,
    vision_layers=3,
    vision_intermediate=6,
    patch_size=2,
    patches=9,
)
# A language layer: q 64 + k 32 + v 32 + o 64 + gate 128 + up 128 + down 128 = 576 weights; two, and the head: 80.
WEIGHTS = 2 * 576 + 80
# The tower: 3 layers of 10 places x (4 x 16 + 2 x 24) weights x 2, and attention 2 products x 2 x 4 wide x 100 pairs;
# patches: 9 x 12 numbers x 4 wide x 2. Projector on 9 places: 4 x 8 weights x 4, 8 x 8 weights x 6.
PICTURE = 3 * (10 * 112 * 2 + 4 * 4 * 100) + 9 * 12 * 4 * 2 + 9 * (32 * 4 + 64 * 6)
# Lengths 3 and 5: 6 and 15 pairs of places; 2 layers, 2 products of 2 x 8 operations, forward and twice that back.
ATTENTION = 2 * 2 * 2 * 8 * (6 + 15) * 3


def test_all_weights_cost_six_operations_a_token() -> None:
    assert language_weights(SMALL) == WEIGHTS
    assert picture_flops(SMALL) == PICTURE
    assert training_flops(SMALL, [3, 5]) == 8 * 6 * WEIGHTS + ATTENTION + 2 * PICTURE


def test_lora_costs_four_and_six_for_its_own() -> None:
    # rank 2: q 2x16, k and v 2x12 each, o 2x16, gate, up, down 2x24 each
    adapters = 2 * (32 + 24 + 24 + 32 + 3 * 48)
    expected = 8 * (4 * WEIGHTS + 6 * adapters) + ATTENTION + 2 * PICTURE
    assert training_flops(SMALL, [3, 5], "lora", rank=2) == expected


def test_without_the_causal_mask_all_pairs_count() -> None:
    difference = training_flops(SMALL, [3, 5], causal=False) - training_flops(SMALL, [3, 5])
    assert difference == 2 * 2 * 2 * 8 * (9 + 25 - 6 - 15) * 3


def test_llava_7b_is_what_it_is_said_to_be() -> None:
    sizes = Sizes(4096, 32, 11008, 4096, 32064, 1024, 23, 4096, 14, 576)
    assert language_weights(sizes) == pytest.approx(6.61e9, rel=0.01)
    assert training_flops(sizes, [1024]) == pytest.approx(6 * 6.61e9 * 1024, rel=0.05)


def test_utilisation_is_a_share_of_all_devices() -> None:
    assert utilisation(8e12, seconds=2.0, peak_flops=1e12, num_devices=8) == 0.5


def test_an_unknown_device_is_refused_unless_its_peak_is_given() -> None:
    assert peak_flops("NVIDIA H100 80GB HBM3") == 989.4e12
    assert peak_flops("NVIDIA H100 PCIe") == 756e12
    assert peak_flops("NVIDIA A100-SXM4-80GB") == 312e12
    assert peak_flops("Some Card", given_tflops=2.5) == 2.5e12
    with pytest.raises(ConfigError, match="--peak-tflops"):
        peak_flops("Some Card")


@pytest.mark.parametrize(
    ("memory_gib", "num", "expected"),
    [(140, 1, (2, False)), (80, 1, (2, True)), (24, 1, (3, True)), (80, 8, (2, False)), (48, 8, (2, False))],
)
def test_a_job_of_7b_is_sharded_as_it_fits(memory_gib: int, num: int, expected: tuple[int, bool]) -> None:
    assert sharding(6_740_000_000, memory_gib * 2**30, num) == expected
