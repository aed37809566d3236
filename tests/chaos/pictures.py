"""Pictures that cannot be read: some before their data set is imported, some in the store after it.

In: a folder and numbers. Out: a world whose broken pictures are always the same ones, broken in the same way.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from random import Random

from comd.world import dataset

WAYS: tuple[Callable[[bytes, Random], bytes], ...] = (
    lambda data, rng: data[: rng.randrange(1, len(data))],  # truncated
    lambda data, rng: rng.randbytes(len(data)),  # corrupt
    lambda data, rng: b"",
)


def write_world(folder: Path, num_pictures: int, num_broken: int, seed: int = 1) -> list[str]:
    """Beside `num_pictures` sound ones `num_broken`, half of them broken already; the sha256 of the other half."""
    dataset.write(folder, seed, num_pictures + num_broken, num_heldout_per_kind=2)
    chosen = sorted((folder / "images").iterdir())
    chosen = Random(seed).sample(chosen, num_broken)
    for number, path in enumerate(chosen[: num_broken // 2]):
        path.write_bytes(broken(path.read_bytes(), number))
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in chosen[num_broken // 2 :]]


def damage(store: Path, sha256s: list[str]) -> None:
    """Break these in the image store; a new import mends them."""
    for number, sha256 in enumerate(sha256s):
        path = store / sha256[:2] / sha256
        path.write_bytes(broken(path.read_bytes(), number))


def broken(data: bytes, number: int) -> bytes:
    return WAYS[number % len(WAYS)](data, Random(number))
