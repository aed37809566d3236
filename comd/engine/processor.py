"""Processors of students. In: a model's folder. Out: its processor, for pictures and text.

Several families pair their picture processor with one for videos, which wants torchvision. Nothing here
shows a student a video: that part is left out, and kept only in the files that go with a checkpoint.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from shared.errors import ConfigError

NAMING = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
FILES = (  # all that a processor may be saved in
    "*processor_config.json",
    "chat_template.*",
    "additional_chat_templates/*",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
)


def load_processor(folder: Path) -> Any:
    """The processor saved in `folder`. ConfigError where it cannot be loaded."""
    from transformers import AutoProcessor

    try:
        kind = _class(folder)
        if kind is None or "video_processor" not in kind.get_attributes():
            return AutoProcessor.from_pretrained(folder)
        return without_video(kind).from_pretrained(folder, video_processor=None)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise ConfigError(f"{folder}: its processor cannot be loaded: {error}") from error


def without_video(kind: Any) -> Any:
    """A processor class that neither takes nor asks for a video processor."""
    parts = [name for name in kind.get_attributes() if name != "video_processor"]
    return type(kind.__name__, (kind,), {"get_attributes": classmethod(lambda _: parts)})


def copy_processor(source: Path, target: Path) -> None:
    """Copy the files of a processor from one model's folder into another's, byte for byte."""
    for pattern in FILES:
        for path in source.glob(pattern):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def _class(folder: Path) -> Any:
    """The class that the folder's files name, if any; the first that names one decides, as in transformers."""
    import transformers

    for path in (folder / name for name in NAMING):
        named = json.loads(path.read_bytes()).get("processor_class") if path.is_file() else None
        if named:
            return getattr(transformers, named, None)
    return None
