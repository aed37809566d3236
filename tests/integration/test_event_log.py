"""The event log: it tells the same story as the tables, nothing in it can be changed, and every step is allowed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.doubles.town import Town, town
from tests.integration.transition_guard import guard


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    """A town in whose database every step that the tables of transitions do not have is an error."""
    guard(postgres_url)
    async with town(tmp_path, postgres_url, redis_url, num_pictures=4) as place:
        yield place


async def whole_log(place: Town, path: str, limit: int = 7) -> list[dict[str, Any]]:
    """Every entry, page by page."""
    entries: list[dict[str, Any]] = []
    after = 0
    while True:
        page = await place.get(f"{path}/log", after=after, limit=limit)
        entries += page["data"]
        if page["next_cursor"] is None:
            return entries
        after = page["next_cursor"]


def replay(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Where a run stands, from its log alone; every entry must go on from where the one before ended."""
    stand: dict[str, Any] = {"status": None, "iteration": None, "phase": None, "target": 0, "seconds": {}}
    for entry in entries:
        detail = entry["detail"]
        if "status" in detail:
            assert detail.get("before") == stand["status"], entry
            stand["status"] = detail["status"]
        if entry["action"] == "iteration_begun":
            stand |= {"iteration": detail["iteration"], "phase": detail["phase"]}
        if entry["action"] == "phase_moved":
            assert (detail["iteration"], detail["before"]) == (stand["iteration"], stand["phase"]), entry
            stand["phase"] = detail["phase"]
            stand["seconds"][detail["iteration"], detail["before"]] = detail["seconds"]
        if entry["action"] == "trainings_added":
            stand["target"] += detail["count"]
            assert detail["target"] == stand["target"]
    return stand


async def test_the_log_tells_the_story_of_the_tables(place: Town) -> None:
    await place.set_faults({"kind": "slow", "seconds": 0.2, "role": "teacher"})
    run_id = await place.begin(trainings=2, pretraining={"dataset": "captions"})
    path = f"/v1/runs/{run_id}"
    await place.wait(run_id, lambda run: run["phase"] == "teaching")
    await place.post(f"{path}/pause")
    engine = {"base_url": place.engine_url, "model": "scripted", "kind": "scripted"}
    change = {"endpoints": {"teacher": engine}, "budget": 5, "prices": {"teacher": {"prompt": 1}}}
    assert (await place.http.patch(path, json=change)).is_success
    await place.set_faults()
    await place.post(f"{path}/resume")
    await place.wait_for_end(run_id)
    await place.post(f"{path}/iterations", {"count": 1})
    run = await place.wait_for_end(run_id)
    await place.post(f"{path}/cancel")

    entries = await whole_log(place, path)
    stand = replay(entries)
    assert (run["status"], run["iteration"], run["phase"], run["target"]) == ("finished", 3, "trained", 3)
    assert {**stand, "seconds": None} == {
        "status": "cancelled",
        "iteration": 3,
        "phase": "trained",
        "target": 3,
        "seconds": None,
    }
    for iteration in (await place.get(f"{path}/iterations"))["data"]:
        for phase, seconds in iteration["seconds"].items():
            assert stand["seconds"][iteration["number"], phase] == seconds
    actions = [entry["action"] for entry in entries]
    asked = ["created", "trainings_added", "started"]
    assert actions[:3] == asked
    assert [actions.count(name) for name in ("iteration_begun", "judge_fixed", "selection_made")] == [4, 2, 2]
    said = ["paused", "engines_swapped", "prices_changed", "budget_changed", "resumed", "cancelled"]
    assert [action for action in actions if action in said] == said
    assert {entry["cause"] for entry in entries if entry["action"] in {*said, *asked}} == {"asked for by api"}
    assert [entry["at"] for entry in entries] == sorted(entry["at"] for entry in entries)
    others = [entry for entry in await whole_log(place, "/v1") if entry["run_id"] is None]
    imported = [("data_set_imported", {"dataset": name}) for name in ("world", "captions", "heldout")]
    assert [(one["action"], one["detail"]) for one in others] == [("leader", {"epoch": 1}), *imported]


async def test_a_failed_an_exhausted_and_a_paused_run_say_why(place: Town) -> None:
    place.trainer.failing.append("out of memory")
    run_id = await place.begin(trainings=2, selection={"mode": "easy_only"}, tau=0.0)
    await place.wait_for_end(run_id)
    await place.post(f"/v1/runs/{run_id}/resume")
    run = await place.wait_for_end(run_id)
    entries = await whole_log(place, f"/v1/runs/{run_id}")
    assert replay(entries)["status"] == run["status"] == "exhausted"
    (failed,) = (entry for entry in entries if entry["action"] == "failed")
    assert "out of memory" in failed["cause"]
    assert entries[-1]["cause"] == run["reason"] == "iteration 1: nothing was selected"

    run_id = await place.begin(seed=1, teacher={"price": {"prompt": 1}}, budget={"limit": 0})
    run = await place.wait_for_end(run_id)
    last = (await whole_log(place, f"/v1/runs/{run_id}"))[-1]
    assert (last["action"], last["cause"]) == (run["status"], run["reason"])
    assert last["cause"].startswith("the budget of 0.00 USD is used up")


@pytest.mark.parametrize(
    "change", ["UPDATE event_log SET cause = ''", "DELETE FROM event_log", "TRUNCATE event_log"]
)
def test_what_is_written_stays(postgres_url: str, change: str) -> None:
    refused = pytest.raises(psycopg.errors.RaiseException, match="event_log is append-only")
    with psycopg.connect(postgres_url) as connection, refused:
        connection.execute(change)
