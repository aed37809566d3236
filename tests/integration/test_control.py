"""Every step from every state over REST, in every state's own words; a real run for each state."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.coordinator.states import RUN_TRANSITIONS, RunStatus
from tests.doubles.town import Town, town
from tests.integration.test_event_log import replay
from tests.integration.transition_guard import guard


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    """With a teacher that is away: a running run stays where it is."""
    guard(postgres_url)
    async with town(tmp_path, postgres_url, redis_url, num_pictures=2) as place:
        await place.register()
        yield place


STEPS: dict[str, RunStatus] = {
    "iterations": "running",
    "pause": "paused",
    "resume": "running",
    "cancel": "cancelled",
}
ALLOWED = {  # by state: what a person may ask for, and where it leads
    "created": {"iterations", "cancel"},
    "running": {"iterations", "pause", "resume", "cancel"},  # a running run resumed is as it was
    "paused": {"iterations", "pause", "resume", "cancel"},
    "failed": {"iterations", "resume", "cancel"},
    "finished": {"iterations", "cancel"},
    "exhausted": set[str](),
    "cancelled": {"cancel"},
}


async def in_state(place: Town, status: str) -> str:
    """A run that came into the state by its own way."""
    await place.set_faults()
    config: dict[str, Any] = {"trainings": 1}
    if status == "exhausted":
        config = {"trainings": 2, "tau": 0.0, "selection": {"mode": "easy_only"}}
    if status == "failed":
        config["student"] = {"base": "unknown"}  # which the trainer refuses
    if status in {"running", "paused", "cancelled"}:
        await place.set_faults({"kind": "503", "role": "teacher", "retry_after": 0.1})
        config["seed"] = len((await place.get("/v1/runs"))["data"])  # so that nothing is answered already
    run = await place.post("/v1/runs", {"name": status, "dataset": "world", "config": config})
    path = f"/v1/runs/{run['id']}"
    if status != "created":
        await place.post(f"{path}/iterations", {})
    if status in {"paused", "cancelled"}:
        await place.post(f"{path}/{'pause' if status == 'paused' else 'cancel'}")
    elif status != "created":
        run = await place.wait(run["id"], lambda run: run["status"] == status)
    return str(run["id"])


def test_the_expectations_are_the_table_s() -> None:
    for status, allowed in RUN_TRANSITIONS.items():
        led = {STEPS[step] for step in ALLOWED[status]} - {status}
        assert led == allowed & set(STEPS.values())


async def test_steps_from_every_state(place: Town) -> None:
    for status, allowed in ALLOWED.items():
        run_id = await in_state(place, status)
        refused = [*(step for step in STEPS if step not in allowed), "retry"]  # nothing failed in any of them
        for step in refused:
            reply = await ask(place, run_id, step)
            assert (reply.status_code, f"is {status}" in reply.text or step == "retry") == (409, True), (
                reply.text
            )
            assert (await place.get(f"/v1/runs/{run_id}"))["status"] == status
        for step in (one for one in STEPS if one in allowed):
            reply = await ask(place, run_id, step)
            assert reply.is_success, (status, step, reply.text)
            assert reply.json()["status"] == STEPS[step]
            await ask(place, run_id, "cancel")  # so that it drives no engine beside the next one
            await check_log(place, run_id)
            run_id = await in_state(place, status)


async def ask(place: Town, run_id: str, step: str) -> httpx.Response:
    body = {"count": 1} if step == "iterations" else None
    return await place.http.post(f"/v1/runs/{run_id}/{step}", json=body)


async def check_log(place: Town, run_id: str) -> None:
    run, log = await place.get(f"/v1/runs/{run_id}"), await place.get(f"/v1/runs/{run_id}/log")
    assert replay(log["data"])["status"] == run["status"]
