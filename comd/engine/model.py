"""One loaded model. In: a batch of prompts. Out: for each its tokens, by transformers' own `generate`."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from comd.engine.dialogue import Renderer
from comd.engine.pictures import Picture, Pictures, stack
from comd.engine.sampling import SeededSampling
from shared.errors import BadRequest, ConfigError
from shared.images import ImageStore


@dataclass
class Row:
    """One prompt on its way through a batch; `tokens` grows as it is answered."""

    prompt: list[int]
    pictures: list[Picture]
    max_tokens: int
    temperature: float
    seed: int
    stops: tuple[str, ...] = ()
    on_text: Callable[[str], None] | None = None
    tokens: list[int] = field(default_factory=list)
    finish_reason: str = "length"
    text: str = ""


@dataclass
class LoadedModel:
    name: str
    folder: Path
    model: Any
    renderer: Renderer
    pictures: Pictures
    stop_ids: frozenset[int]

    @property
    def max_length(self) -> int:
        config = self.model.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", None) or 1 << 30)


def load(name: str, folder: Path, store: ImageStore | None, dtype: str = "auto") -> LoadedModel:
    """The model and processor saved in `folder`. ConfigError where they cannot be loaded."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a folder is all that is ever read
    from transformers import AutoModelForImageTextToText, AutoProcessor  # seconds of imports

    if not (folder / "config.json").is_file():
        raise ConfigError(f"{folder}: expected a saved model with a config.json; name a folder that has one")
    try:
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype).eval()
        processor = AutoProcessor.from_pretrained(folder)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{folder}: cannot be loaded as an image-text-to-text model: {error}") from error
    stops = model.generation_config.eos_token_id
    stops = stops if isinstance(stops, list) else [stops]
    known = {token for token in [*stops, processor.tokenizer.eos_token_id] if token is not None}
    return LoadedModel(name, folder, model, Renderer(processor), Pictures(processor, store), frozenset(known))


def generate(loaded: LoadedModel, rows: Sequence[Row]) -> None:
    """Answer all rows in one batch, filling in their tokens, text and finish reason."""
    from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

    width = max(len(row.prompt) for row in rows)
    pad = loaded.renderer.tokenizer.pad_token_id or 0
    ids = torch.tensor([[pad] * (width - len(row.prompt)) + row.prompt for row in rows])  # (B, T)
    mask = torch.tensor([[0] * (width - len(row.prompt)) + [1] * len(row.prompt) for row in rows])
    pictures = stack([picture for row in rows for picture in row.pictures])
    sampling = SeededSampling([row.seed for row in rows], [row.temperature for row in rows], width)
    config = GenerationConfig(
        do_sample=False,
        max_new_tokens=max(row.max_tokens for row in rows),
        pad_token_id=pad,
        eos_token_id=sorted(loaded.stop_ids),
    )
    limits = RowLimits(loaded, rows)
    with torch.inference_mode():
        loaded.model.generate(
            input_ids=ids,
            attention_mask=mask,
            **_cast(pictures, loaded.model.dtype),
            generation_config=config,
            logits_processor=LogitsProcessorList([sampling]),
            stopping_criteria=StoppingCriteriaList([limits]),
        )
    for row in rows:
        row.text = decoded(loaded, row)


def check_length(loaded: LoadedModel, row: Row) -> None:
    """BadRequest where prompt and answer do not fit into the model's context."""
    if len(row.prompt) >= loaded.max_length:
        raise BadRequest(
            f"the prompt has {len(row.prompt)} tokens; {loaded.name} takes {loaded.max_length} with the answer",
            code="context_length_exceeded",
        )
    row.max_tokens = min(row.max_tokens, loaded.max_length - len(row.prompt))


def decoded(loaded: LoadedModel, row: Row) -> str:
    """The row's tokens as text, cut before the first of its stop strings."""
    text = str(loaded.renderer.tokenizer.decode(row.tokens, skip_special_tokens=True))
    cuts = [at for stop in row.stops if (at := text.find(stop)) >= 0]
    return text[: min(cuts)] if cuts else text


class RowLimits:
    """A stopping criterion: each row ends by itself, at its stop token, stop string or length."""

    def __init__(self, loaded: LoadedModel, rows: Sequence[Row]):
        self.loaded, self.rows = loaded, rows
        self.open = [True] * len(rows)

    def __call__(self, input_ids: torch.Tensor, scores: Any) -> torch.Tensor:
        for at, token in enumerate(input_ids[:, -1].tolist()):
            if self.open[at]:
                self.open[at] = self._goes_on(self.rows[at], token)
        return torch.tensor([not is_open for is_open in self.open])

    def _goes_on(self, row: Row, token: int) -> bool:
        if token in self.loaded.stop_ids:
            row.finish_reason = "stop"
            return False
        row.tokens.append(token)
        if row.on_text or row.stops:
            text = decoded(self.loaded, row)
            if row.on_text:
                row.on_text(text)
            if len(text) < len(
                str(self.loaded.renderer.tokenizer.decode(row.tokens, skip_special_tokens=True))
            ):
                row.finish_reason = "stop"
                return False
        return len(row.tokens) < row.max_tokens


def _cast(pictures: dict[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in pictures.items()}
