"""The tree of commands: documented as it is, every command with a sentence, its words explained, and `--json`."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from comd.cli import ORDER, app
from comd.commands.document import FILE, document

ENDLESS_OR_VISUAL = {"comd up", "comd demo", "comd open", "comd student init"}


def commands(group: Any, path: str = "comd") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        yield from (
            commands(command, f"{path} {name}")
            if hasattr(command, "commands")
            else [(f"{path} {name}", command)]
        )


ROOT = typer.main.get_command(app)
ALL = dict(commands(ROOT))


def test_the_document_is_that_of_the_commands() -> None:
    assert FILE.read_text(encoding="utf-8") == document(), "run `python -m comd.commands.document`"


def test_the_document_has_no_terminal_codes() -> None:
    assert "\x1b" not in document()


@pytest.mark.parametrize("path", ALL)
def test_every_command_and_each_of_its_words_is_explained(path: str) -> None:
    command = ALL[path]
    first = (command.help or "").split("\n\n")[0]
    assert first.endswith("."), f"{path}: expected a sentence, got {first!r}"
    assert first[0].isupper()
    for part in command.params:
        if part.name not in {"help", "install_completion", "show_completion"}:
            assert (part.help or "").endswith("."), f"{path} {part.name}: expected a sentence"
            assert part.help[0].isupper(), f"{path} {part.name}: {part.help}"


@pytest.mark.parametrize("path", sorted(set(ALL) - ENDLESS_OR_VISUAL))
def test_every_command_that_prints_something_has_json(path: str) -> None:
    assert any("--json" in part.opts for part in ALL[path].params)


def test_the_order_of_the_first_page_names_every_command() -> None:
    assert set(ROOT.commands) <= set(ORDER)  # type: ignore[attr-defined]


def test_a_pressed_tab_waits_for_no_heavy_import() -> None:
    heavy = {"fastapi", "sqlalchemy", "torch", "spacy", "pandas", "matplotlib"}
    said = f"import sys, comd.cli; sys.exit(', '.join({heavy!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True)
    assert done.stderr.strip() == ""
