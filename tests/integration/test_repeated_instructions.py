"""A run that writes no new instructions: the selected ones are the next tuning pool, everywhere it is shown."""

import asyncio
from typing import Any

import orjson
from typer.testing import CliRunner

from comd.cli import app
from comd.client import Client
from comd.report.figures import figures
from comd.report.material import Material, gather
from comd.report.tables import iterations
from tests.doubles.town import KEYS, Town
from tests.integration.test_dashboard_pages import browser

REPEAT = {
    "trainings": 3,
    "tau": 0.2,
    "evaluation": {"dataset": "heldout"},
    "augmentation": {"mode": "repeat"},
    "selection": {"number": 5},
    "training": {"first_epochs": 1, "steps": 7},
}


async def test_the_selected_ones_are_trained_on_again(commanded: Town) -> None:
    place = commanded
    run_id = await place.begin(**REPEAT)
    run = await place.wait_for_end(run_id)
    assert (run["status"], run["iteration"], run["phase"]) == ("finished", 3, "trained")
    _, first, second, third = (await place.get(f"/v1/runs/{run_id}/iterations"))["data"]
    assert (first["difficult"] + first["easy"], first["accepted"], first["rejected"]) == (5, None, None)
    assert "augmenting" not in first["seconds"]
    assert [one["tuning_pool"] for one in (first, second, third)] == [12, 5, 5]
    assert {one["cache_pool"] for one in (first, second, third)} == {12}, "nothing was written"
    await check_the_pool_is_what_was_selected(place, run_id)
    check_what_the_trainer_was_given(place)
    calls = (await place.http.get(f"{place.engine_url}/scripted/calls")).json()["by_role"]
    assert (calls.get("augmentor", 0), calls["teacher"]) == (0, 12)
    await check_reports_and_pages_do_without_what_is_not_there(place, run_id)
    await check_a_branch_can_write_again(place, run_id)


async def check_the_pool_is_what_was_selected(place: Town, run_id: str) -> None:
    """Through every route that shows a pool."""
    judged = (await place.get(f"/v1/runs/{run_id}/instructions", iteration=1))["data"]
    tuning = await place.get(f"/v1/runs/{run_id}/pools/tuning", iteration=2)
    found = {one["id"] for one in tuning["data"]}
    hardest = {one["id"] for one in judged if one["difficulty"] >= REPEAT["tau"]}
    assert len(found) == 5
    assert len(found & hardest) == min(len(hardest), 3)
    page = await place.get(f"/v1/runs/{run_id}/pools/tuning", iteration=2, limit=3)
    rest = await place.get(f"/v1/runs/{run_id}/pools/tuning", iteration=2, cursor=page["next_cursor"])
    assert [one["id"] for one in (*page["data"], *rest["data"])] == [one["id"] for one in tuning["data"]]
    reply = await place.http.get(f"/v1/runs/{run_id}/pools/tuning/export", params={"iteration": 2})
    told = [orjson.loads(line)["provenance"]["instructions"] for line in reply.text.splitlines()]
    assert {one["id"] for line in told for one in line} == found
    assert (reply.headers["x-comd-answered"], reply.headers["x-comd-unanswered"]) == ("5", "0")
    whole = await place.get(f"/v1/runs/{run_id}/pools/tuning", iteration=1)
    assert len(whole["data"]) == 12


def check_what_the_trainer_was_given(place: Town) -> None:
    asked = [job["asked"] for job in place.trainer.jobs.values()]
    turns = [
        sum(
            len(orjson.loads(line)["messages"]) // 2
            for line in place.trainer.files[one["training_file"]].splitlines()
        )
        for one in asked
    ]
    assert turns == [12, 5, 5]
    assert [one["hyperparameters"].get("max_steps") for one in asked] == [None, 7, 7]


async def check_a_branch_can_write_again(place: Town, parent: str) -> None:
    asked: dict[str, Any] = {"iteration": 2, "name": "new", "config": {"augmentation": {"mode": "new"}}}
    child = await place.post(f"/v1/runs/{parent}/branch", asked)
    await place.post(f"/v1/runs/{child['id']}/iterations", {"count": 1})
    assert (await place.wait_for_end(child["id"]))["status"] == "finished"
    second, third = (await place.get(f"/v1/runs/{child['id']}/iterations"))["data"][2:]
    assert second["accepted"] == third["tuning_pool"] == third["cache_pool"] - 12 > 0
    before = [await place.get(f"/v1/runs/{run}/pools/tuning", iteration=2) for run in (parent, child["id"])]
    assert before[0]["data"] == before[1]["data"]


async def check_reports_and_pages_do_without_what_is_not_there(place: Town, run_id: str) -> None:
    result = await asyncio.to_thread(CliRunner().invoke, app, ["run", "show", run_id], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert not {"augmentor", "None"} & set(result.output.split())
    found = await asyncio.to_thread(_gathered, place, run_id)
    assert "candidates" not in {figure.name for figure in figures(found.report, found.curves)}
    assert len(iterations(found.report)[1]) == 4
    with browser(str(place.http.base_url), "api", KEYS.api) as pages:
        for page in ("", "/instructions?iteration=2"):
            reply = await asyncio.to_thread(pages.get, f"/runs/{run_id}{page}")
            assert reply.status_code == 200, page
            assert ">None<" not in reply.text


def _gathered(place: Town, run_id: str) -> Material:
    with Client(str(place.http.base_url), KEYS.api) as client:
        return gather(client, run_id)
