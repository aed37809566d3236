"""Batches. In: examples and the student's pictures. Out: padded tensors as the model's forward takes them."""

from collections.abc import Sequence
from typing import Any

import torch

from comd.engine.pictures import Picture, Pictures, stack, token_types
from services.trainer.records import IGNORED
from services.trainer.training.prepared import Example


class Collator:
    """Examples as one batch, padded on the right to its longest; pictures in the examples' order.

    With a `blank` picture, a batch that has none gets one more row, of that picture's tokens and without a
    label: the loss is the same, and vision encoder and projector run on every rank. Where one rank left them
    out while another did not, ZeRO-3 would wait for ever for the weights to be gathered.
    """

    def __init__(self, pictures: Pictures, pad_id: int, blank: Picture | None = None):
        self.pictures, self.pad_id, self.processor = pictures, pad_id, pictures.processor
        self.blank, self._blank_ids = blank, [] if blank is None else self._tokens(blank)

    def __call__(self, batch: Sequence[Example]) -> dict[str, Any]:
        ids = [torch.tensor(example.input_ids, dtype=torch.long) for example in batch]
        labels = [torch.tensor(example.labels, dtype=torch.long) for example in batch]
        pictures = [self.pictures.get(example.image) for example in batch if example.image is not None]
        if self.blank is not None and not pictures:
            pictures = [self.blank]
            ids.append(torch.tensor(self._blank_ids))
            labels.append(torch.full((len(self._blank_ids),), IGNORED))
        input_ids = _padded(ids, self.pad_id)
        return {
            "input_ids": input_ids,  # (B, T)
            "attention_mask": _padded([torch.ones_like(row) for row in ids], 0),
            "labels": _padded(labels, IGNORED),
            **token_types(self.processor, input_ids),
            **stack(pictures),
        }

    def _tokens(self, picture: Picture) -> list[int]:
        tokenizer = self.processor.tokenizer
        return list(tokenizer(picture.placeholder, add_special_tokens=False)["input_ids"])


def _padded(rows: Sequence[torch.Tensor], fill: int) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=fill)
