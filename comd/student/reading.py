"""The parts as they lie on disk. In: folders. Out: language model, tokenizer, vision tower, image processor.

Nothing is downloaded and no code of a model's folder is run: pickled weights are read as tensors only.
"""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from shared.errors import ConfigError

LOCAL = {"local_files_only": True, "trust_remote_code": False}
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
TOWERS = {
    "clip": "CLIPVisionModel",
    "clip_vision_model": "CLIPVisionModel",
    "siglip": "SiglipVisionModel",
    "siglip_vision_model": "SiglipVisionModel",
}


def language_config(folder: Path) -> Any:
    """The configuration of the causal language model in a folder."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    config = _config(folder, "a causal language model")
    known = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    classes = config.architectures or []
    if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or (classes and not known & set(classes)):
        raise ConfigError(
            f"{folder}: expected a causal language model (Llama, Vicuna, Qwen2, ...), found "
            f"{', '.join(classes) or config.model_type}; give --llm a folder with one"
        )
    return config


def tower_config(folder: Path) -> Any:
    """The vision tower's configuration, also where the folder holds the whole two-tower model."""
    config = _config(folder, "a CLIP or SigLIP vision tower")
    if config.model_type not in TOWERS:
        raise ConfigError(
            f"{folder}: expected a vision tower (CLIP or SigLIP), found {config.model_type}; "
            "give --vision a folder with one"
        )
    own = getattr(config, "vision_config", config)
    if hasattr(own, "vision_use_head"):
        own.vision_use_head = False  # SigLIP's pooling head: features are taken before it
    return own


def language_model(folder: Path, config: Any, dtype: torch.dtype | None) -> Any:
    """The causal language model, in `dtype` or its own."""
    from transformers import AutoModelForCausalLM

    return _weights(AutoModelForCausalLM, folder, config, dtype or "auto")


def vision_tower(folder: Path, config: Any, dtype: torch.dtype) -> Any:
    """The vision tower alone."""
    import transformers

    return _weights(getattr(transformers, TOWERS[config.model_type]), folder, config, dtype)


def tokenizer(folder: Path) -> Any:
    """The language model's tokenizer."""
    from transformers import AutoTokenizer

    # Without its files transformers would make an empty tokenizer of the model's class.
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise ConfigError(f"{folder}: no tokenizer; expected one of {', '.join(TOKENIZER_FILES)}")
    if not (folder / "tokenizer.json").is_file() and not (folder / "vocab.json").is_file():
        _need_sentencepiece(folder)
    with _explained(folder, "a tokenizer"):
        return AutoTokenizer.from_pretrained(folder, **LOCAL)


def _need_sentencepiece(folder: Path) -> None:
    if lacking := [name for name in ("sentencepiece", "google.protobuf") if not _installed(name)]:
        raise ConfigError(
            f"{folder}: tokenizer.model alone, as Vicuna's, is read by sentencepiece and protobuf, and "
            f"{' and '.join(lacking)} is missing: pip install sentencepiece protobuf, or add a tokenizer.json"
        )


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # of the package above it
        return False


def image_processor(folder: Path) -> Any:
    """The tower's own preparation of pictures; by Pillow where torchvision is absent."""
    from transformers import AutoImageProcessor

    if not any((folder / name).is_file() for name in PROCESSOR_FILES):
        raise ConfigError(f"{folder}: no image processor; expected one of {', '.join(PROCESSOR_FILES)}")
    with _explained(folder, "an image processor"):
        return AutoImageProcessor.from_pretrained(folder, **LOCAL)


def _config(folder: Path, what: str) -> Any:
    from transformers import AutoConfig

    if not (folder / "config.json").is_file():
        missing = "has no config.json" if folder.is_dir() else "is not there"
        raise ConfigError(f"{folder} {missing}; expected the folder of {what} as transformers saves it")
    with _explained(folder, what):
        return AutoConfig.from_pretrained(folder, **LOCAL)


def _weights(kind: Any, folder: Path, config: Any, dtype: torch.dtype | str) -> Any:
    with _explained(folder, f"the weights of {kind.__name__}"):
        model, found = kind.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            weights_only=True,
            output_loading_info=True,
            local_files_only=True,
        )
    if lacking := sorted(found["missing_keys"]) + sorted(map(str, found["mismatched_keys"])):
        raise ConfigError(
            f"{folder}: the weights do not fit {type(model).__name__}: {len(lacking)} are missing or of "
            f"another shape, the first {lacking[0]}; give the folder of the whole model"
        )
    return model


@contextmanager
def _explained(folder: Path, what: str) -> Iterator[None]:
    try:
        yield
    except pickle.UnpicklingError as error:
        raise ConfigError(
            f"{folder}: its pickled weights hold more than tensors, and code in them is never run; "
            "give the model in safetensors form"
        ) from error
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, EOFError) as error:
        raise ConfigError(f"{folder}: cannot be read as {what}: {error}") from error
