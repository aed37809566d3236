"""Tiny parts of students, and students made from them, each made once a session when first asked for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from comd.engine.model import LoadedModel, load
from comd.student import Plan, make
from tests import tiny_parts


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders of parts by name, each made once."""
    folder = tmp_path_factory.mktemp("parts")
    makers: dict[str, Callable[[Path], Path]] = {
        "llama": tiny_parts.llama,
        "llama-bytes": lambda path: tiny_parts.llama(path, tiny_parts.byte_tokenizer()),
        "llama-narrow": lambda path: tiny_parts.llama(path, hidden=32),
        "qwen": tiny_parts.qwen,
        "clip": tiny_parts.clip,
        "clip-tower": lambda path: tiny_parts.clip(path, whole=False),
        "siglip": tiny_parts.siglip,
    }
    return lambda name: folder / name if (folder / name).exists() else makers[name](folder / name)


@pytest.fixture(scope="session")
def student(
    parts: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], LoadedModel]:
    """Students by their parts' names, loaded as the trainer loads them."""
    folder, made = tmp_path_factory.mktemp("students"), dict[str, LoadedModel]()

    def loaded(llm: str, vision: str) -> LoadedModel:
        name = f"{llm}-{vision}"
        if name not in made:
            make(Plan(parts(llm), parts(vision), folder / name))
            made[name] = load(name, folder / name, None)
        return made[name]

    return loaded
