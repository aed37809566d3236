"""`comd run branch`: a new run from an iteration of another, under other settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from comd.commands.connection import RunName, connect
from shared.errors import BadRequest
from shared.settings import read_toml


def branch(
    name: RunName,
    iteration: Annotated[int, typer.Option(min=1, help="the new run stands right after this training")],
    as_: Annotated[str, typer.Option("--as", help="the new run's name")],
    config: Annotated[Path | None, typer.Option(help="TOML file with the settings that differ")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="a setting that differs, such as tau=0.5; repeatable")
    ] = None,
) -> None:
    """A new run from an iteration of this one, with other settings; what was answered is not asked again."""
    changes = with_settings(read_toml(config) if config else {}, set_ or [])
    with connect() as coordinator:
        run = coordinator.branch(coordinator.find_run(name)["id"], iteration, as_, changes)
        print(f"run {run['name']} ({run['id']}) stands after training {iteration} of {name}")
        print(f"`comd run start {run['name']} --iterations N` goes on with it")


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
