"""`comd run log`: what happened to a run, and why."""

import json

from rich.console import Console

from comd import run_log
from comd.commands.connection import AsJson, RunName, connect


def log(name: RunName, as_json: AsJson = False) -> None:
    """Every change of the run's state with its time and cause, the oldest first."""
    with connect() as coordinator:
        entries = list(coordinator.log(coordinator.find_run(name)["id"]))
    if as_json:
        print(json.dumps(entries))
        return
    console = Console()
    for entry in entries:
        console.print(run_log.line(entry), highlight=False, soft_wrap=True, markup=False)
