"""`comd run watch | events`: a run while it works."""

import sys

import typer
from rich.console import Console

from comd.client import Client
from comd.commands.connection import AsJson, RunName, connect, find_run
from comd.commands.exits import OF_RUN
from comd.watch import watch_run
from comd.watch_screen import counted, pace, where


def watch(name: RunName, as_json: AsJson = False) -> None:
    """Show a run's progress until it ends or pauses; the exit status tells how it ended.

    Ctrl-C leaves the run alone. With --json every change is one line.
    """
    with connect() as client:
        watch_to_its_end(client, find_run(client, name).id, Console(), as_json)


def events(name: RunName, as_json: AsJson = False) -> None:
    """Print a line for every change of a run, until it ends; a paused run is waited for."""
    with connect() as client:
        for event in client.runs.events(find_run(client, name).id):
            said = f"{event.status}  {where(event)}  {counted(event.progress)}  {pace(event.progress, None)}"
            print(event.model_dump_json() if as_json else said.rstrip(), flush=True)


def watch_to_its_end(client: Client, run_id: str, console: Console, as_json: bool) -> None:
    """Ends the command with the status that belongs to the run's end."""
    try:
        run = watch_run(client, run_id, console, as_json=as_json)
    except KeyboardInterrupt:
        print("the run goes on; `comd run watch` shows it again", file=sys.stderr)
        raise
    if status := OF_RUN[run.status]:
        raise typer.Exit(status)
