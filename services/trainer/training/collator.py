"""Batches. In: examples and the student's pictures. Out: padded tensors as the model's forward takes them."""

from collections.abc import Sequence
from typing import Any

import torch

from comd.engine.pictures import Pictures, stack
from services.trainer.records import IGNORED
from services.trainer.training.dataset import Example


class Collator:
    """Examples as one batch, padded to its longest; pictures in the examples' order."""

    def __init__(self, pictures: Pictures, pad_id: int):
        self.pictures, self.pad_id = pictures, pad_id

    def __call__(self, batch: Sequence[Example]) -> dict[str, Any]:
        width = max(len(example.input_ids) for example in batch)

        def padded(values: list[int], fill: int) -> list[int]:
            return values + [fill] * (width - len(values))

        pictures = [self.pictures.get(example.image) for example in batch if example.image is not None]
        return {
            "input_ids": torch.tensor([padded(e.input_ids, self.pad_id) for e in batch]),  # (B, T)
            "attention_mask": torch.tensor([padded([1] * len(e.input_ids), 0) for e in batch]),
            "labels": torch.tensor([padded(e.labels, IGNORED) for e in batch]),
            **stack(pictures),
        }
