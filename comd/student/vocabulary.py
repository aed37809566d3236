"""Tokens that the student needs and the language model may lack: image, padding, stop.

In: the language model and its tokenizer. Out: the same, with a row in the embeddings for each new token.
"""

from typing import Any

import torch

from shared.errors import ConfigError

IMAGE, PADDING, TURN_END = "<image>", "<pad>", "<|im_end|>"
ROWS_MULTIPLE = 64
"""Matrix sizes that GPUs compute fast, and that divide over a server's tensor-parallel ranks."""


def has_chatml(tokenizer: Any) -> bool:
    """Whether the language model was made with ChatML's turn tokens."""
    return bool({"<|im_start|>", TURN_END} <= tokenizer.get_vocab().keys())


def complete(tokenizer: Any, template: str) -> None:
    """Name the stop token that the template ends answers with; add image and padding token where missing."""
    if TURN_END in template and has_chatml(tokenizer):
        tokenizer.eos_token = TURN_END  # base models of this kind name the end of a document instead
    if tokenizer.eos_token is None:
        raise ConfigError("the tokenizer names no eos_token; answers need a stop token: set it there first")
    tokenizer.add_special_tokens({"extra_special_tokens": [IMAGE]}, replace_extra_special_tokens=False)
    # The stop token must not pad: the embedding row of the padding token gets no gradient, and many a
    # trainer leaves padding ids out of the loss, so that the student would never learn to stop.
    if tokenizer.pad_token is None or tokenizer.pad_token == tokenizer.eos_token:
        tokenizer.add_special_tokens({"pad_token": PADDING})


def size(tokenizer: Any) -> int:
    """Rows that the tokenizer's ids need."""
    return int(max(tokenizer.get_vocab().values())) + 1


def fit(llm: Any, tokenizer: Any, num_known: int) -> None:
    """Give each id from `num_known` on a row; resize only where there are too few.

    A new row is the mean of the known ones. As an output its logit is then the mean of the others' and never
    the largest, so that the student does not answer with it; as an input the image token's row is replaced by
    features anyway. And it is the same on every machine, which random rows are not.
    """
    inputs, outputs = llm.get_input_embeddings(), llm.get_output_embeddings()
    rows = inputs.weight.shape[0]
    if tokenizer.vocab_size > rows:
        raise ConfigError(
            f"the tokenizer has {tokenizer.vocab_size:,} tokens, the language model {rows:,} embedding rows; "
            "take the tokenizer that the model was trained with"
        )
    num_known = min(num_known, rows)
    means = [_mean(layer.weight[:num_known]) for layer in (inputs, outputs)]
    if size(tokenizer) > rows:
        llm.resize_token_embeddings(size(tokenizer), pad_to_multiple_of=ROWS_MULTIPLE, mean_resizing=False)
    added = slice(num_known, size(tokenizer) if size(tokenizer) <= rows else None)
    with torch.no_grad():
        for layer, mean in zip((llm.get_input_embeddings(), llm.get_output_embeddings()), means, strict=True):
            layer.weight[added] = mean


def _mean(rows: torch.Tensor) -> torch.Tensor:
    """The mean row (D), summed in double precision."""
    return rows.detach().mean(0, dtype=torch.float64).to(rows.dtype)
