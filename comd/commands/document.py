"""`python -m comd.commands.document`: docs/cli.md from the commands themselves. Out: that file's text, or the file."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from comd.cli import ENVIRONMENT, EXAMPLE, app
from comd.commands.exits import MEANING

FILE = Path(__file__).parents[2] / "docs" / "cli.md"
FRONT = """# Command line

Written by `python -m comd.commands.document`; a test fails where it is out of date.

```sh
{example}
```

Names of runs and data sets are completed by the shell after `comd --install-completion` (bash, zsh, fish).
`--json` prints what a command prints as JSON: one object, one list, or one object a line where it follows something.
An error is one sentence on stderr with a hint below it, or with `--json` one JSON object:
`{{"error": {{"message", "code", "hint", "exit_status"}}}}`.

| variable | meaning |
|---|---|
{environment}

## Exit status

| status | meaning |
|---|---|
{statuses}
"""
Command = Any  # Typer's own command classes are not public


def document() -> str:
    root = typer.main.get_command(app)
    return "\n".join((front(), *_commands(root, typer.Context(root, info_name="comd"))))


def front() -> str:
    return FRONT.format(
        example="\n".join(EXAMPLE),
        environment="\n".join(_row(f"`{name}`", meaning) for name, meaning in ENVIRONMENT.items()),
        statuses="\n".join(_row(str(status.value), meaning) for status, meaning in MEANING.items()),
    )


def _commands(group: Command, at: typer.Context) -> Iterator[str]:
    for name in group.list_commands(at):
        command = group.commands[name]
        inside = typer.Context(command, info_name=name, parent=at)
        if isinstance(command, TyperGroup):
            yield f"## {inside.command_path}\n\n{_text(command.help)}\n"
            yield from _commands(command, inside)
        else:
            yield from _section(command, inside)


def _section(command: Command, at: typer.Context) -> Iterator[str]:
    is_inner = " " in at.command_path.removeprefix("comd ")
    yield f"{'###' if is_inner else '##'} {at.command_path}\n\n{_text(command.help)}\n"
    words = " ".join(command.collect_usage_pieces(at))
    yield f"```sh\n{at.command_path} {words}\n```\n"
    records = (part.get_help_record(at) for part in command.params if part.name != "help")
    rows = [_row(f"`{names}`", meaning) for names, meaning in filter(None, records)]
    if rows:
        yield "\n".join(("| | |", "|---|---|", *rows)) + "\n"


def _text(text: str | None) -> str:
    return "\n".join(line.strip() for line in (text or "").splitlines())


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    if sys.argv[1:] == ["--print"]:
        print(document(), end="")
    else:
        FILE.write_text(document(), encoding="utf-8")
