"""Secrets from the environment or from the file that it names."""

from pathlib import Path

import pytest

from services.coordinator.settings import CoordinatorSettings
from shared.environment import told
from shared.errors import ConfigError
from shared.keys import engine_key, load_keys
from shared.masking import hide_environment, mask


def test_a_file_is_read_where_the_variable_is_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "url").write_text("postgresql://u:p@postgres/comd\n")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    assert CoordinatorSettings().database_url == "postgresql://u:p@postgres/comd"
    monkeypatch.setenv("DATABASE_URL", "")
    assert CoordinatorSettings().database_url == "postgresql://u:p@postgres/comd"
    monkeypatch.setenv("DATABASE_URL", "postgresql://other/comd")
    assert CoordinatorSettings().database_url == "postgresql://other/comd"


def test_keys_from_files_are_hidden_and_their_places_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "engine-key-of-a-teacher"
    place.write_text("key-in-a-file-0123456789")
    for name in ("COMD_API_KEY", "COMD_INTERNAL_KEY", "COMD_ENGINE_KEY_FILED"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(f"{name}_FILE", str(place))
    hide_environment()
    assert mask(str(place)) == str(place)
    assert load_keys(tmp_path).api == engine_key("COMD_ENGINE_KEY_FILED") == "key-in-a-file-0123456789"
    assert mask("key-in-a-file-0123456789") == "***"


def test_an_empty_engine_key_is_none_and_a_missing_one_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMD_ENGINE_KEY_EMPTY", "")
    assert engine_key("COMD_ENGINE_KEY_EMPTY") is None
    with pytest.raises(ConfigError, match="COMD_ENGINE_KEY_ABSENT, which is not set"):
        engine_key("COMD_ENGINE_KEY_ABSENT")


def test_a_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOMETHING_FILE", str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match=r"SOMETHING_FILE: expected a readable text file at .*gone"):
        told("SOMETHING")
