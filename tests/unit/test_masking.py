"""Keys are masked in errors, logs, settings and crashes; whole, cut short, echoed or inside a URL."""

import json
import logging
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.coordinator.settings import CoordinatorSettings
from services.teacher.app import TeacherSettings
from shared import logs
from shared.errors import EngineUnavailable, Unprocessable
from shared.keys import engine_key, load_keys
from shared.masking import hide, hide_environment, mask
from shared.settings import explain, load
from shared.types import EngineSpec

KEY = "planted-Zm9vYmFyYmF6cXV4-0001"


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMD_ENGINE_KEY_TEST", KEY)
    hide_environment()


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"it said {KEY}.", "it said ***."),
        (f'{{"got":"{KEY}"}}', '{"got":"***"}'),
        (f"cut here: {KEY[:15]}", "cut here: ***"),
        (f"Authorization: Bearer {KEY}", "Authorization: Bearer ***"),
        ("authorization: bearer somebody-elses-key", "authorization: bearer ***"),
        ("'Authorization: Bearer KEY'", "'Authorization: Bearer KEY'"),
        ("comd-" + "x" * 43, "***"),
        ("comd-internal-" + "x" * 43, "***"),
        ("comd-image:" + "0" * 64, "comd-image:" + "0" * 64),
        ("at http://user:se:cr@et@host:1/a@b", "at http://***@host:1/a@b"),
        ("at http://token@host", "at http://***@host"),
        ("postgresql://u:p@h/db", "postgresql://***@h/db"),
        ("http://host/a@b", "http://host/a@b"),
    ],
)
def test_a_key_does_not_show(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_short_values_are_no_secrets() -> None:
    assert hide("dev") == "dev"
    assert mask("development") == "development"


def test_keys_are_hidden_as_soon_as_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMD_ENGINE_KEY_LATER", "read-later-0123456789")
    assert engine_key("COMD_ENGINE_KEY_LATER") == "read-later-0123456789"
    assert mask("read-later-0123456789") == "***"
    (tmp_path / "api-key").write_text("of-a-file-0123456789")
    monkeypatch.delenv("COMD_API_KEY", raising=False)
    load_keys(tmp_path)
    assert mask("of-a-file-0123456789") == "***"


def test_an_error_is_masked_from_its_birth() -> None:
    error = EngineUnavailable(f"the engine said {KEY}")
    assert KEY not in str(error) + repr(error) + json.dumps(error.body())
    assert Unprocessable("plain").message == "plain"


def test_a_logged_line_is_masked_whole(capsys: pytest.CaptureFixture[str]) -> None:
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure("test")
        logs.get("t").warning("told", nested={"deep": [KEY]}, api_key="short", plain=KEY)
        try:
            raise ValueError(KEY)
        except ValueError as error:
            logs.get("t").error("failed", exc_info=error)
            logging.getLogger("foreign").error("it is %s", KEY)
            sys.excepthook(type(error), error, error.__traceback__)
    finally:
        root.handlers[:], sys.excepthook = handlers, hook
        root.setLevel(level)
    written = capsys.readouterr().err
    assert written.count("***") >= 5
    assert "ValueError: ***" in written
    assert KEY not in written
    assert "short" not in written


@pytest.mark.parametrize(
    "base_url", ["http://user:pass@h:1", "http://pass@h", "http://h?key=pass", "http://h#pass", "http://h/v1"]
)
def test_a_base_url_holds_nothing_but_the_servers_root(base_url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        EngineSpec(base_url=base_url, model="m")
    assert "key_name" in str(refused.value) or "expected the root" in str(refused.value)


def test_a_key_in_the_place_of_its_name_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as refused:
        EngineSpec(base_url="http://h", model="m", key_name="sk-somebodys-key")
    said = explain(refused.value)
    assert "sk-somebodys-key" not in said
    assert "key_name: String should match pattern" in said


def test_settings_show_no_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMD_COORDINATOR_DATABASE_URL", "postgresql://u:hidden-one@h/db")
    with pytest.raises(SystemExit):
        load(CoordinatorSettings, ["--dry-run"])
    monkeypatch.setenv("COMD_TEACHER_ENGINE", '{"base_url": "http://u:hidden-two@h", "model": "m"}')
    with pytest.raises(SystemExit):
        load(TeacherSettings, [])
    written = capsys.readouterr()
    assert "postgresql://***@h/db" in written.out
    assert "a URL may hold no user or password" in written.err
    assert "hidden" not in written.out + written.err
