"""Examples as one batch. In: examples and their pictures. Out: tensors for the model, padded to the longest."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from comd.engine.pictures import Pictures, stack
from services.trainer.records import IGNORED
from services.trainer.training.prepared import Example


class Collator:
    """Examples as one batch, padded to its longest; pictures in the examples' order."""

    def __init__(self, pictures: Pictures, pad_id: int):
        self.pictures, self.pad_id = pictures, pad_id

    def __call__(self, batch: Sequence[Example]) -> dict[str, Any]:
        pictures = [self.pictures.get(example.image) for example in batch if example.image is not None]
        return {
            "input_ids": padded([example.input_ids for example in batch], self.pad_id),  # (B, T)
            "attention_mask": padded([[1] * len(example.input_ids) for example in batch], 0),
            "labels": padded([example.labels for example in batch], IGNORED),
            **stack(pictures),
        }


def padded(rows: Sequence[Sequence[int]], fill: int) -> torch.Tensor:
    """Rows as one tensor (B, T) as wide as the longest, filled up on the right."""
    made = np.full((len(rows), max(map(len, rows))), fill, dtype=np.int64)
    for at, row in enumerate(rows):
        made[at, : len(row)] = row
    return torch.from_numpy(made)
