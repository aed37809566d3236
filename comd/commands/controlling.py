"""`comd run pause | resume | retry | cancel`: stop a run and go on with it."""

from collections.abc import Callable

from comd.client import Client
from comd.commands.connection import AsJson, RunName, connect, find_run
from comd.commands.printing import print_json
from services.coordinator.api.shapes import Run


def pause(name: RunName, as_json: AsJson = False) -> None:
    """Stop a run where it is; calls in flight end and are kept."""
    _control(name, as_json, lambda client, run_id: client.runs.pause(run_id))


def resume(name: RunName, as_json: AsJson = False) -> None:
    """Go on with a paused run, or try again the step at which a run failed."""
    _control(name, as_json, lambda client, run_id: client.runs.resume(run_id))


def retry(name: RunName, as_json: AsJson = False) -> None:
    """Ask again what failed in the present phase; a run that paused to ask about it goes on."""
    _control(name, as_json, lambda client, run_id: client.runs.retry(run_id))


def cancel(name: RunName, as_json: AsJson = False) -> None:
    """End a run for good; what it has is kept."""
    _control(name, as_json, lambda client, run_id: client.runs.cancel(run_id))


def _control(name: str, as_json: bool, do: Callable[[Client, str], Run]) -> None:
    with connect() as client:
        run = do(client, find_run(client, name).id)
    if as_json:
        print_json(run)
    else:
        print(f"run {run.name} is {run.status}")
