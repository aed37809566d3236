"""How a command ends: its exit status, one sentence on stderr, a hint below it, and both as JSON."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from comd.cli import main
from comd.commands.errors import UnknownName, tell
from comd.commands.exits import MEANING, OF_RUN, Exit, of_error
from services.coordinator.states import RUN_TRANSITIONS
from shared import errors

Captured = pytest.CaptureFixture[str]


def comd(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ComdError("x"), Exit.FAILED),
        (errors.ConfigError("x"), Exit.USAGE),
        (errors.BadRequest("x"), Exit.USAGE),
        (errors.Unprocessable("x"), Exit.USAGE),
        (errors.EngineUnavailable("x"), Exit.AWAY),
        (errors.TooManyRequests("x", retry_after_s=1), Exit.AWAY),
        (errors.Unauthorized("x"), Exit.REFUSED),
        (errors.Forbidden("x"), Exit.REFUSED),
        (errors.NotFound("x"), Exit.NOT_FOUND),
        (errors.Conflict("x"), Exit.CONFLICT),
    ],
)
def test_every_kind_of_error_has_its_status(error: errors.ComdError, status: Exit) -> None:
    assert of_error(error) is status


def test_every_status_has_a_meaning_and_every_end_of_a_run_a_status() -> None:
    assert set(MEANING) == set(Exit)
    assert set(OF_RUN) == set(RUN_TRANSITIONS) - {"created", "running"}


def test_an_unknown_name_brings_those_like_it(capsys: Captured) -> None:
    error = UnknownName("run", "frist", ["first", "second", "first"], "comd run list")
    assert tell(error, as_json=False) is Exit.NOT_FOUND
    assert capsys.readouterr().err == (
        "comd: there is no run 'frist'\n  -> did you mean first? `comd run list` shows those there are\n"
    )


def test_an_error_is_json_where_json_is_asked_for(capsys: Captured) -> None:
    assert comd("run", "list", "--json", "--nonsense") == Exit.USAGE
    printed = capsys.readouterr()
    said = json.loads(printed.err)["error"]
    assert printed.out == ""
    assert said["exit_status"] == Exit.USAGE
    assert "--nonsense" in said["message"]
    assert "comd run list --help" in said["hint"]


def test_a_wrong_word_says_where_the_help_is(capsys: Captured) -> None:
    assert comd("run", "wach") == Exit.USAGE
    said = capsys.readouterr().err.splitlines()
    assert "wach" in said[0]
    assert "watch" in said[0]
    assert said[1] == "  -> `comd run --help` explains it"


def test_a_toml_file_that_cannot_be_read_is_told_with_its_line(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "run.toml").write_text("tau = 0.5\nseed = = 3\n")
    config = str(tmp_path / "run.toml")
    assert comd("run", "start", "x", "--dataset", "d", "--config", config) == Exit.USAGE
    said = capsys.readouterr().err
    assert f"{config} is not a TOML file" in said
    assert "line 2" in said


def test_a_reader_who_has_enough_brings_no_traceback() -> None:
    words = f"{shlex.quote(sys.executable)} -m comd key show --json | true"
    done = subprocess.run(
        words,
        shell=True,
        capture_output=True,
        text=True,
        env={**os.environ, "COMD_API_KEY": "key", "PYTHONUNBUFFERED": ""},
    )
    assert done.stderr == ""


def test_a_file_that_cannot_be_written_is_named(capsys: Captured) -> None:
    assert tell(PermissionError(13, "Permission denied", "/out.json"), as_json=False) is Exit.FAILED
    assert capsys.readouterr().err == "comd: /out.json: Permission denied\n"


def test_a_group_alone_prints_its_help_and_no_error(capsys: Captured) -> None:
    assert comd("run") == Exit.USAGE
    printed = capsys.readouterr()
    assert "Usage: comd run" in printed.out
    assert printed.err == ""


def test_help_holds_the_table_of_statuses(capsys: Captured) -> None:
    assert comd("--help") == Exit.DONE
    said = " ".join(capsys.readouterr().out.split())
    assert all(f"{status.value} {meaning}" in said for status, meaning in MEANING.items())


def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        tell(ZeroDivisionError("x"), as_json=False)
    assert sys.exc_info() == (None, None, None)


def test_what_an_engine_wrote_does_nothing_to_the_terminal(capsys: Captured) -> None:
    assert tell(errors.EngineReplyError("got \x1b[2J\x07"), as_json=False) is Exit.FAILED
    assert capsys.readouterr().err == "comd: got \\x1b[2J\\x07\n"
