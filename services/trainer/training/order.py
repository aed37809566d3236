"""In which order records are trained on. In: their lengths in tokens, a seed, an epoch. Out: indices. Pure.

Batches hold records of like length, so that little is padded. The order depends on nothing else: a job that
goes on after a crash, on however many devices, takes the same batches.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

MEGA_BATCHES = 50  # batches that are sorted together: what transformers' own sampler takes


def epoch_order(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[int]:
    """Each record once, in batches of `batch_size` of like length, the batches in random order.

    The batch with the longest record comes first, so that memory that is too small shows at the first step. A
    last batch that is not full stays last.
    """
    rng = np.random.default_rng([seed, epoch])
    shuffled = rng.permutation(len(lengths))
    sizes = np.asarray(lengths)
    mega = batch_size * MEGA_BATCHES
    ordered: list[NDArray[np.int64]] = []
    for start in range(0, len(shuffled), mega):
        part = shuffled[start : start + mega]
        ordered.append(part[np.argsort(-sizes[part], kind="stable")])
    flat = np.concatenate(ordered)
    num_full = len(flat) // batch_size
    batches = flat[: num_full * batch_size].reshape(num_full, batch_size)
    batches = batches[rng.permutation(num_full)]
    if num_full > 1:
        longest = int(sizes[batches].max(axis=1).argmax())
        batches[[0, longest]] = batches[[longest, 0]]
    return [*batches.ravel().tolist(), *flat[num_full * batch_size :].tolist()]


def padding_share(lengths: Sequence[int], order: Sequence[int], micro_batch_size: int) -> float:
    """The share of a device's token places that hold nothing, when every micro-batch is as wide as its longest."""
    places = tokens = 0
    for start in range(0, len(order), micro_batch_size):
        widths = [lengths[at] for at in order[start : start + micro_batch_size]]
        places += max(widths) * len(widths)
        tokens += sum(widths)
    return 1 - tokens / places if places else 0.0


class GroupedByLength:
    """A sampler, as torch's DataLoader takes one, whose `epoch` is set before each epoch."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int):
        self.lengths, self.batch_size, self.seed = lengths, batch_size, seed
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        return iter(epoch_order(self.lengths, self.batch_size, self.seed, self.epoch))

    def __len__(self) -> int:
        return len(self.lengths)
