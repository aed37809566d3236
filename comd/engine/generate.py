"""Answers a batch. In: a loaded model and rows. Out: each row's tokens, text and finish reason.

Models whose positions count tokens go through a loop of our own, which drops rows that have ended: answers differ in
length, and a batch would else run on for its longest. All others go through transformers' `generate`.
"""

from collections.abc import Sequence
from typing import Any

import torch

from comd.engine.model import LoadedModel, Row
from comd.engine.pictures import stack, token_types
from comd.engine.sampling import SeededSampling

# Positions count tokens, and the cache is all the state between two steps.
PLAIN_POSITIONS = {"idefics3", "internvl", "llava", "llava_next", "llava_onevision", "smolvlm"}
SHRINK_AT = 0.75  # of the rows still open: dropping rows copies the cache


def generate(loaded: LoadedModel, rows: Sequence[Row]) -> None:
    """Answer all rows in one batch, filling in their tokens, text and finish reason."""
    plain = loaded.model.config.model_type in PLAIN_POSITIONS
    with torch.inference_mode():
        (decode if plain else decode_by_transformers)(loaded, rows)
    for row in rows:
        row.text = _text(loaded, row)


def decode(loaded: LoadedModel, rows: Sequence[Row]) -> None:
    """Our loop: one pass over the prompts, then a token a step for the rows that are still open."""
    from transformers import DynamicCache

    ids, mask = _padded(loaded, rows)  # (B, T)
    sampling = SeededSampling([row.seed for row in rows], [row.temperature for row in rows])
    cache = DynamicCache(config=loaded.model.config.get_text_config())
    inputs: dict[str, Any] = model_inputs(loaded, rows, ids)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    going, step = list(rows), 0
    while going:
        made = loaded.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **inputs,
        )
        tokens = sampling.choose(made.logits[:, -1], step)
        is_open = [goes_on(loaded, row, token) for row, token in zip(going, tokens.tolist(), strict=True)]
        kept = [at for at, still in enumerate(is_open) if still]
        if not kept:
            return
        # A closed row may stay in the batch for a while; what it makes is thrown away.
        if len(kept) <= SHRINK_AT * len(going):
            chosen = torch.tensor(kept)
            cache.batch_select_indices(chosen)
            going = [going[at] for at in kept]
            sampling.keep(chosen)
            tokens, mask, positions = tokens[chosen], mask[chosen], positions[chosen]
        ids, positions, inputs, step = tokens[:, None], positions[:, -1:] + 1, {}, step + 1
        mask = torch.cat([mask, mask.new_ones(len(going), 1)], dim=1)


def decode_by_transformers(loaded: LoadedModel, rows: Sequence[Row]) -> None:
    """The same tokens from transformers' `generate`, for any model that it knows."""
    from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

    ids, mask = _padded(loaded, rows)
    sampling = SeededSampling([row.seed for row in rows], [row.temperature for row in rows])
    width = ids.shape[1]

    def scores(input_ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        return sampling.scores(logits, input_ids.shape[1] - width)

    def ended(input_ids: torch.Tensor, _: Any) -> torch.Tensor:
        tokens = input_ids[:, -1].tolist()
        return torch.tensor([not goes_on(loaded, row, t) for row, t in zip(rows, tokens, strict=True)])

    loaded.model.generate(
        input_ids=ids,
        attention_mask=mask,
        **model_inputs(loaded, rows, ids),
        generation_config=GenerationConfig(
            do_sample=False,
            max_new_tokens=max(row.max_tokens for row in rows),
            pad_token_id=loaded.pad_id,
            eos_token_id=sorted(loaded.stop_ids),
        ),
        logits_processor=LogitsProcessorList([scores]),
        stopping_criteria=StoppingCriteriaList([ended]),
    )


def goes_on(loaded: LoadedModel, row: Row, token: int) -> bool:
    """Take the row's next token; whether it has more to come. A row that has ended stays as it is."""
    if row.ended:
        return False
    if token in loaded.stop_ids:
        row.finish_reason, row.ended = "stop", True
        return False
    row.tokens.append(token)
    if row.stops and len(_text(loaded, row)) < len(_whole_text(loaded, row)):
        row.finish_reason, row.ended = "stop", True
    if row.on_text:
        row.on_text(_text(loaded, row))
    row.ended = row.ended or len(row.tokens) >= row.max_tokens
    return not row.ended


def _text(loaded: LoadedModel, row: Row) -> str:
    """The row's tokens as text, cut before the first of its stop strings."""
    text = _whole_text(loaded, row)
    cuts = [at for stop in row.stops if (at := text.find(stop)) >= 0]
    return text[: min(cuts)] if cuts else text


def _whole_text(loaded: LoadedModel, row: Row) -> str:
    return str(loaded.renderer.tokenizer.decode(row.tokens, skip_special_tokens=True))


def _padded(loaded: LoadedModel, rows: Sequence[Row]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask, both (B, T), padded on the left so that all answers begin at one step."""
    width = max(len(row.prompt) for row in rows)
    gaps = [width - len(row.prompt) for row in rows]
    ids = torch.tensor([[loaded.pad_id] * gap + row.prompt for gap, row in zip(gaps, rows, strict=True)])
    mask = torch.tensor([[0] * gap + [1] * (width - gap) for gap in gaps])
    return ids, mask


def model_inputs(loaded: LoadedModel, rows: Sequence[Row], ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the model takes beside the ids: pictures, and which of the ids stand for them."""
    inputs = stack([picture for row in rows for picture in row.pictures])
    dtype = loaded.model.dtype
    cast = {name: t.to(dtype) if t.is_floating_point() else t for name, t in inputs.items()}
    return {**cast, **token_types(loaded.renderer.processor, ids)}
