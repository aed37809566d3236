"""What a person sees of a running run where the output is no terminal: a line per phase, with what is known."""

import io
from typing import Any

import httpx
import pytest
from rich.console import Console

from comd.client import Coordinator
from comd.watch import watch_run


def run(status: str, number: int, now: str, **progress: Any) -> dict[str, Any]:
    """The coordinator's view of a run in the phase `now`."""
    return {
        "id": "r",
        "name": "demo",
        "status": status,
        "iteration": number,
        "phase": now,
        "progress": progress,
        "usage": {"spent": 1.234, "currency": "EUR", "limit": 5.0, "by_role": {}},
    }


def iteration(number: int) -> dict[str, Any]:
    return {"number": number, "tuning_pool": 10, "train_loss": 0.5, "heldout_accuracy": 0.5, "seconds": {}}


STATES = [
    run(
        "running",
        1,
        "teaching",
        phase="teaching",
        done=5,
        total=10,
        unit="instructions",
        rate=2.0,
        time_left_s=2.5,
    ),
    run("running", 1, "training", phase="teaching", done=10, total=10, unit="instructions"),
    run("running", 1, "training", phase="training", done=None, total=None, waiting="the trainer is busy"),
    run("finished", 1, "trained"),
]


@pytest.fixture
def coordinator() -> Coordinator:
    """A client whose answers come from a list of states, over httpx's own mock transport."""
    states = iter(STATES)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/report"):
            return httpx.Response(200, json={"iterations": [iteration(0), iteration(1)]})
        return httpx.Response(200, json=next(states))

    return Coordinator("http://coordinator", "key", transport=httpx.MockTransport(answer))


def test_phases_and_stories_are_told_once(coordinator: Coordinator) -> None:
    out = io.StringIO()
    with coordinator:
        last = watch_run(coordinator, "r", Console(file=out, width=80), poll_s=0.0)
    said = out.getvalue()
    assert last["status"] == "finished"
    assert "iteration 1 teaching: 5 / 10 instructions, 2/s, 2 s left, 1.23 EUR spent" in said
    assert said.count("iteration 1 training") == 1
    assert "10 / 10" not in said  # the progress of a phase that is over
    assert said.count("Iteration 1: the teacher answered 10") == 1
    assert "Run demo is finished." in said
