"""What a person sees of a running run: a line per phase where the output is no terminal, curves where it is one."""

import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from rich.console import Console

from comd.client import Client
from comd.following import without_waiting
from comd.watch import watch_run
from comd.watch_screen import Seen, duration, pace, screen
from services.coordinator.api.shapes import Progress, RunEvent, RunUsage
from shared.errors import NotFound

USAGE = {"spent": 1.234, "currency": "EUR", "limit": 5.0, "by_role": {}}


def stand(number: int, phase: str, **more: Any) -> dict[str, Any]:
    """An iteration, as the coordinator's events tell it."""
    names = (
        "cache_pool",
        "difficult",
        "easy",
        "unjudged",
        "mean_difficulty",
        "accepted",
        "dropped",
        "rejected",
    )
    empty = dict.fromkeys(
        (*names, "tuning_pool", "train_loss", "heldout_accuracy", "heldout_by_kind", "checkpoint")
    )
    return {"number": number, "phase": phase, "seconds": {}, "endings": {}, **empty, **more}


def event(status: str, *iterations: dict[str, Any], **progress: Any) -> dict[str, Any]:
    return {
        "id": "r", "name": "demo", "status": status, "target": 2, "reason": None,
        "progress": progress, "iterations": list(iterations),
    }  # fmt: skip


DONE_0 = stand(0, "complete", heldout_accuracy=0.25)
DONE_1 = stand(1, "trained", tuning_pool=10, train_loss=0.5, heldout_accuracy=0.5)
EVENTS = [
    event("running", DONE_0, stand(1, "teaching"), phase="teaching", done=5, total=10, unit="instructions",
          rate=2.0, time_left_s=2.5),
    event("running", DONE_0, stand(1, "training"), phase="teaching", done=10, total=10, unit="instructions"),
    event("running", DONE_0, stand(1, "training"), phase="training", waiting="the trainer is busy"),
    event("finished", DONE_0, DONE_1),
]  # fmt: skip
RUN = {
    **{name: EVENTS[-1][name] for name in ("id", "name", "status", "target", "reason")},
    **{"dataset": "world", "config": {}, "engines": {}, "iteration": 1, "phase": "trained", "progress": {}},
    **{"parent_run": None, "branched_from": None, "usage": USAGE, "failures": []},
    **dict.fromkeys(("created_at", "updated_at"), "2026-01-01T00:00:00Z"),
}  # fmt: skip


@pytest.fixture
def client() -> Iterator[Client]:
    """A client whose answers come over httpx's own mock transport."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/events"):
            told = "".join(f"event: run\ndata: {json.dumps(event)}\n\n" for event in EVENTS)
            return httpx.Response(200, text=told, headers={"content-type": "text/event-stream"})
        return httpx.Response(200, json=RUN)

    with Client("http://coordinator", "key", transport=httpx.MockTransport(answer)) as client:
        yield client


def test_phases_and_stories_are_told_once(client: Client) -> None:
    out = io.StringIO()
    last = watch_run(client, "r", Console(file=out, width=80))
    said = out.getvalue()
    assert last.status == "finished"
    assert "iteration 1 teaching: 5 / 10 instructions, 2.0/s, 2 s left, 1.23 of 5.00 EUR spent" in said
    assert said.count("iteration 1 training") == 1
    assert "10 / 10" not in said  # the progress of a phase that is over
    assert said.count("Before the loop, held-out accuracy is 0.250.") == 1
    assert said.count("Iteration 1: the teacher answered 10") == 1
    assert "Held-out accuracy is 0.500 (+0.250)." in said
    assert "Run demo is finished." in said
    assert "\x1b" not in said


def test_for_machines_every_change_is_one_line(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    watch_run(client, "r", Console(file=out, width=80), as_json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["status"] for line in lines] == [event["status"] for event in EVENTS]
    assert out.getvalue() == ""


def test_the_check_ends_the_watch(client: Client) -> None:
    def check() -> None:
        raise NotFound("a service has died")

    with pytest.raises(NotFound, match="has died"):
        watch_run(client, "r", Console(file=io.StringIO()), check)


@pytest.mark.parametrize("width", [80, 120, 40])
def test_the_screen_fits_its_width(width: int) -> None:
    said = drawn(seen(), width)
    assert max(len(line) for line in said.splitlines()) <= width
    assert "demo  running, iteration 2" in said
    assert "▁" in said


def test_the_screen_shows_bar_money_and_curves() -> None:
    said = drawn(seen(), 80)
    assert "3 / 10 steps" in said
    assert "loss 0.500, 3.0/s, 7 s left, 1.23 of 5.00 EUR spent" in said
    assert "0.250 -> 0.500" in said
    assert "1.000 -> 0.500" in said  # of the loss
    plain = drawn(seen(), 80, encoding="ascii")
    assert "▁" not in plain
    assert "#" in plain


def test_another_phase_begins_its_curves_anew() -> None:
    now = seen()
    assert (now.losses, len(now.rates)) == ([1.0, 0.75, 0.5], 3)
    now.take(
        RunEvent.model_validate(event("running", DONE_0, stand(1, "evaluating"), phase="training", loss=0.5))
    )
    assert (now.losses, now.rates) == ([], [])
    assert now.progress() == Progress()


def test_durations_are_read_as_a_clock() -> None:
    assert [duration(s) for s in (2.5, 59.6, 3599, 3600)] == ["2 s", "1:00 min", "59:59 min", "1:00:00"]


def test_what_is_waited_for_is_said_and_steers_no_terminal() -> None:
    assert pace(Progress(waiting="the judge \x1b[2J"), None) == "waiting: the judge \\x1b[2J"


def test_reading_on_without_waiting_looks_around_and_hands_errors_on() -> None:
    def slow() -> Iterator[int]:
        yield 1
        looked.wait(5)
        raise NotFound("gone")

    import threading

    looked = threading.Event()
    events = without_waiting(slow(), look_s=0.001)
    assert next(events) == 1
    assert next(events) is None
    looked.set()
    with pytest.raises(NotFound):
        list(events)


def seen() -> Seen:
    """A run in its second training, three steps in."""
    now: Seen | None = None
    for step, loss in enumerate((1.0, 0.75, 0.5)):
        told = event(
            "running", DONE_0, DONE_1, stand(2, "training"), phase="training", done=step + 1, total=10,
            unit="steps", rate=1.0 + step, time_left_s=7.0, loss=loss,
        )  # fmt: skip
        parsed = RunEvent.model_validate(told)
        now = now or Seen(parsed)
        now.take(parsed)
    assert now is not None
    now.usage = RunUsage.model_validate(USAGE)
    return now


def drawn(now: Seen, width: int, encoding: str = "utf-8") -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width)
    with console.capture() as captured:
        console.print(screen(now, console))
    return captured.get()
