"""Tiny parts of students, and students made from them, each made once a session; a town for the command line."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from comd.engine.model import LoadedModel, load
from comd.student import Plan, make
from tests import tiny_parts
from tests.doubles.town import KEYS, Town, town


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


@pytest.fixture
async def commanded(
    tmp_path: Path, postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Town]:
    """A town that the command line finds by its environment."""
    async with town(tmp_path, postgres_url, redis_url) as place:
        monkeypatch.setenv("COMD_URL", str(place.http.base_url))
        monkeypatch.setenv("COMD_API_KEY", KEYS.api)
        monkeypatch.setenv("COMD_INTERNAL_KEY", KEYS.internal)
        yield place
