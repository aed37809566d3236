"""Follows an evaluation while it works. In: a client and its id. Out: a bar with rate and time left; how it ended."""

from rich.console import Console

from comd.client import Client
from comd.following import without_waiting
from comd.printable import printable
from comd.progress import WorkDisplay
from comd.watch import ENDED, patiently
from services.coordinator.api.evaluation_shapes import Evaluation, EvaluationSummary
from services.coordinator.api.shapes import RunEvent


def follow(
    client: Client, evaluation: EvaluationSummary, console: Console, as_json: bool = False
) -> Evaluation:
    """Until it ends or pauses; what is asked of the coordinator meanwhile is its stream of events alone."""
    with WorkDisplay(console, printable(evaluation.name), "questions") as display:
        for event in without_waiting(client.runs.events(evaluation.id)):
            if event is None:
                continue
            if as_json:
                print(event.model_dump_json(), flush=True)
            else:
                _show(display, event)
            if event.status in ENDED:
                break
    return patiently(client.evaluations.get, evaluation.id)


def _show(display: WorkDisplay, event: RunEvent) -> None:
    now = event.progress
    if now.total:
        display.show(now.done or 0, now.total, f"waiting: {printable(now.waiting)}" if now.waiting else "")
