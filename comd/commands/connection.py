"""Where the coordinator is and with which key: `COMD_URL`, and the key of this machine's stack.

Also the arguments that many commands take.
"""

import os
from typing import Annotated, Any

import typer

from comd.client import Coordinator
from comd.commands import completion
from comd.commands.errors import UnknownName
from shared.keys import load_keys

RUN_HELP = "The run: its name (the newest of that name) or its id."
RunName = Annotated[
    str, typer.Argument(metavar="RUN", help=RUN_HELP, autocompletion=completion.runs, show_default=False)
]
OptionalRunName = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help=RUN_HELP, autocompletion=completion.runs, show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, errors too.")]


def coordinator_url() -> str:
    return (os.environ.get("COMD_URL") or "http://127.0.0.1:8100").rstrip("/")


def connect() -> Coordinator:
    return Coordinator(coordinator_url(), load_keys().api)


def find_run(coordinator: Coordinator, name: str) -> dict[str, Any]:
    """The run of that id, or the newest of that name."""
    runs = coordinator.runs()
    named = [run for run in runs if name in {run["id"], run["name"]}]
    if not named:
        raise UnknownName("run", name, (str(run["name"]) for run in runs), "comd run list")
    return max(named, key=lambda run: str(run["created_at"]))


def named_run(name: str) -> dict[str, Any]:
    with connect() as coordinator:
        return find_run(coordinator, name)
