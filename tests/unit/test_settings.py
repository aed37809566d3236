"""Settings: TOML file < environment < command line, and a clear refusal of what is wrong."""

import json
from pathlib import Path

import pytest

from services.assessor.app import AssessorSettings
from services.teacher.app import TeacherSettings
from shared.settings import load


def test_later_sources_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "teacher.toml"
    file.write_text('port = 1111\ntimeout_s = 7.0\n[engine]\nbase_url = "http://127.0.0.1:1"\nmodel = "m"\n')
    assert load(TeacherSettings, ["--config", str(file)]).port == 1111
    monkeypatch.setenv("COMD_TEACHER_PORT", "2222")
    assert load(TeacherSettings, ["--config", str(file)]).port == 2222
    settings = load(TeacherSettings, ["--config", str(file), "--port", "3333"])
    assert (settings.port, settings.timeout_s, settings.engine.model) == (3333, 7.0, "m")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("prot = 1", "prot: unknown key"),
        ("port = 99999", "port: Input should be less than or equal to 65535, got 99999"),
        ('[engine]\nkind = "x"', "engine.kind: Input should be 'openai', 'vllm' or 'scripted', got 'x'"),
        ("port = ", "not a TOML file"),
    ],
)
def test_a_wrong_key_or_value_is_named(
    toml: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "teacher.toml"
    file.write_text(toml)
    with pytest.raises(SystemExit) as ended:
        load(TeacherSettings, ["--config", str(file)], program="teacher")
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_refused_secret_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMD_ASSESSOR_FENCE_SECRET", "my 0")
    with pytest.raises(SystemExit):
        load(AssessorSettings, [], program="assessor")
    said = capsys.readouterr().err
    assert "fence_secret: Value should have at least 16 items" in said
    assert "my 0" not in said


def test_a_misspelt_environment_variable_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMD_TEACHER_PROT", "1")
    with pytest.raises(SystemExit):
        load(TeacherSettings, [])
    said = capsys.readouterr().err
    assert "COMD_TEACHER_PROT: unknown setting" in said
    assert "COMD_TEACHER_PORT" in said


def test_dry_run_prints_what_holds(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        load(TeacherSettings, ["--dry-run", "--port", "4444"])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["port"] == 4444
