"""One loaded model, and the rows that pass through it. In: a folder. Out: model, processor, stop tokens."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comd.engine.dialogue import Renderer
from comd.engine.pictures import Picture, Pictures
from comd.engine.processor import load_processor
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
    ended: bool = False
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
    def pad_id(self) -> int:
        return int(self.renderer.tokenizer.pad_token_id or 0)

    @property
    def max_length(self) -> int:
        config = self.model.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", None) or 1 << 30)


def load(name: str, folder: Path, store: ImageStore | None, dtype: str = "auto") -> LoadedModel:
    """The model and processor saved in `folder`. ConfigError where they cannot be loaded."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a folder is all that is ever read
    from transformers import AutoModelForImageTextToText  # seconds of imports

    if not (folder / "config.json").is_file():
        raise ConfigError(f"{folder}: expected a saved model with a config.json; name a folder that has one")
    try:
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype).eval()
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{folder}: cannot be loaded as an image-text-to-text model: {error}") from error
    renderer = load_renderer(folder)
    return LoadedModel(
        name, folder, model, renderer, Pictures(renderer.processor, store), frozenset(renderer.stop_ids)
    )


def load_renderer(folder: Path) -> Renderer:
    """Processor, chat template and stop tokens of the model saved in `folder`, without its weights.

    An answer ends with the tokenizer's end token or with one of the model's generation config.
    """
    from transformers import AutoConfig, GenerationConfig

    if (folder / "generation_config.json").is_file():
        stops = GenerationConfig.from_pretrained(folder).eos_token_id
    else:
        stops = GenerationConfig.from_model_config(AutoConfig.from_pretrained(folder)).eos_token_id
    stops = stops if isinstance(stops, list) else [stops]
    return Renderer(load_processor(folder), [stop for stop in stops if stop is not None])


def check_length(loaded: LoadedModel, row: Row) -> None:
    """BadRequest where prompt and answer do not fit into the model's context."""
    if len(row.prompt) >= loaded.max_length:
        raise BadRequest(
            f"the prompt has {len(row.prompt)} tokens; {loaded.name} takes {loaded.max_length} with the answer",
            code="context_length_exceeded",
        )
    row.max_tokens = min(row.max_tokens, loaded.max_length - len(row.prompt))
