"""`comd run branch`: a new run from an iteration of another, under other settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from comd.commands.connection import AsJson, RunName, connect, find_run
from comd.commands.printing import print_json
from shared.errors import BadRequest
from shared.settings import read_toml


def branch(
    name: RunName,
    iteration: Annotated[
        int, typer.Option(min=1, help="The new run stands right after this training.", show_default=False)
    ],
    as_: Annotated[str, typer.Option("--as", help="Name of the new run.", show_default=False)],
    config: Annotated[
        Path | None, typer.Option(help="TOML file with the settings that differ.", show_default=False)
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="One setting that differs, such as tau=0.5; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Begin a new run in the middle of another, with other settings; nothing answered is asked again."""
    changes = with_settings(read_toml(config) if config else {}, set_ or [])
    with connect() as client:
        run = client.runs.branch(find_run(client, name).id, iteration, as_, changes)
    if as_json:
        print_json(run)
        return
    print(f"run {run.name} ({run.id}) stands after training {iteration} of {name}")
    print(f"`comd run start {run.name} --iterations N` goes on with it")


def with_settings(changes: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """The changes with each `section.key=value` put in; a value is JSON, or else a text."""
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not (key and equals):
            raise BadRequest(f"--set: expected key=value, got {setting!r}")
        *sections, last = key.split(".")
        at = changes
        for section in sections:
            at = at.setdefault(section, {})
        at[last] = _value(value)
    return changes


def _value(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
