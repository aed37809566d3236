"""What `comd up` and the demo say of the dashboard: a newcomer types it as it stands, in the folder where he is."""

import sys
from pathlib import Path

import pytest

from comd.commands.stack import where_to_look

URL = "http://127.0.0.1:8100"


def test_the_key_is_that_of_the_stack_that_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    assert where_to_look(URL, tmp_path / "var").endswith("The key to sign in with: .venv/bin/comd key show")
    said = where_to_look(URL, tmp_path / "runs/the demo")
    assert said.startswith(f"Dashboard: {URL}/ ")
    assert said.endswith(": COMD_HOME='runs/the demo' .venv/bin/comd key show")
    assert "COMD_HOME=/srv/comd " in where_to_look(URL, Path("/srv/comd"))
