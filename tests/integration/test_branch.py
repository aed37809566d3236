"""Branching: a run that stands where another stood after a training, asks nothing twice, and goes its own way."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.doubles.town import Town, town

TABLES = {  # with what makes a row another run's
    "instructions": "id, image, text, task_type, origin, parent, born_in, dialogue, turn",
    "bindings": "instruction_id, role, checkpoint, request_hash",
    "verdicts": "iteration, instruction_id, unjudged, reason, difficulty, runs::text, revision",
    "selections": "iteration, instruction_id, kind",
    "candidates": "iteration, parent, attempt, text, accepted, reason, rouge_l, instruction_id",
    "evaluation_answers": "iteration, item_id, request_hash, correct",
}


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    async with town(tmp_path, postgres_url, redis_url, num_pictures=4) as place:
        yield place


def content(place: Town, run_id: str) -> dict[str, set[Any]]:
    with psycopg.connect(place.settings.database_url) as connection:
        return {
            table: set(
                connection.execute(f"SELECT {columns} FROM {table} WHERE run_id = %s", [run_id]).fetchall()
            )  # type: ignore[call-overload]
            for table, columns in TABLES.items()
        }


async def calls(place: Town) -> dict[str, int]:
    return dict((await place.http.get(f"{place.engine_url}/scripted/calls")).json()["by_role"])


async def branch(place: Town, run_id: str, iteration: int, **config: Any) -> dict[str, Any]:
    asked = {"iteration": iteration, "name": "other", "config": config}
    return dict(await place.post(f"/v1/runs/{run_id}/branch", asked))


async def test_branches_of_a_finished_run(place: Town) -> None:
    parent = await place.begin(trainings=3, tau=0.9, evaluation={"dataset": "heldout"})
    assert (await place.wait_for_end(parent))["status"] == "finished"
    original = content(place, parent)
    await check_the_same_settings_find_the_same_without_a_call(place, parent)
    await check_another_judge_judges_anew_and_another_seed_asks_anew(place, parent)
    await check_another_tau_selects_otherwise_and_judges_nothing_again(place, parent)
    await check_what_a_branch_cannot_be_is_said(place, parent)
    assert content(place, parent) == original


async def check_the_same_settings_find_the_same_without_a_call(place: Town, parent: str) -> None:
    child = await branch(place, parent, 2)
    assert (child["status"], child["iteration"], child["phase"], child["target"]) == (
        "finished",
        2,
        "trained",
        2,
    )
    assert (child["parent_run"], child["branched_from"]) == (parent, 2)
    before = await calls(place)
    await place.post(f"/v1/runs/{child['id']}/iterations", {"count": 1})
    assert (await place.wait_for_end(child["id"]))["status"] == "finished"
    after = await calls(place)
    # the augmentor is asked again, because its replies are not kept by their request
    assert {role: after[role] - before[role] for role in ("teacher", "judge", "student")} == {
        "teacher": 0,
        "judge": 0,
        "student": 0,
    }
    assert content(place, child["id"]) == content(place, parent)
    both = [(await place.get(f"/v1/runs/{run}/iterations"))["data"] for run in (parent, child["id"])]
    kept = ("number", "checkpoint", "heldout_accuracy", "difficult", "accepted", "tuning_pool", "cache_pool")
    assert [[one[key] for key in kept] for one in both[0]] == [[one[key] for key in kept] for one in both[1]]


async def check_another_tau_selects_otherwise_and_judges_nothing_again(place: Town, parent: str) -> None:
    child = await branch(place, parent, 1, tau=0.1)
    await place.set_faults({"kind": "503", "role": "judge"}, {"kind": "503", "role": "student"})
    await place.post(f"/v1/runs/{child['id']}/iterations", {"count": 1})
    run = await place.wait(child["id"], lambda run: run["iteration"] == 2)  # neither of the two was needed
    first = await place.get(f"/v1/runs/{child['id']}/iterations/1")
    assert (first["difficult"], first["easy"]) == (8, 0)
    assert run["config"]["tau"] == 0.1
    await place.post(f"/v1/runs/{child['id']}/cancel")
    born, *since = (await place.get(f"/v1/runs/{child['id']}/log"))["data"]
    assert "judge_fixed" not in {entry["action"] for entry in since}  # it is the parent's
    assert (born["action"], born["detail"]["parent_run"], born["detail"]["changes"]) == (
        "branched",
        parent,
        {"tau": 0.1},
    )
    last = (await place.get(f"/v1/runs/{parent}/log"))["data"][-1]
    assert (last["action"], last["detail"]["child"]) == ("branch", child["id"])


async def check_another_judge_judges_anew_and_another_seed_asks_anew(place: Town, parent: str) -> None:
    engine = {"base_url": place.engine_url, "model": "scripted", "kind": "scripted", "revision": "second"}
    judged = await branch(place, parent, 1, assessor={"engine": engine})
    asked = await branch(place, parent, 1, seed=7)
    parts = {run["id"]: content(place, run["id"]) for run in (judged, asked)}
    assert not parts[judged["id"]]["verdicts"]
    assert {row[1] for row in parts[judged["id"]]["bindings"]} == {"teacher", "student"}
    assert {row[1] for row in parts[asked["id"]]["bindings"]} == {"teacher"}
    await place.post(f"/v1/runs/{judged['id']}/iterations", {"count": 1})
    assert (await place.wait_for_end(judged["id"]))["status"] == "finished"
    assert {row[-1] for row in content(place, judged["id"])["verdicts"]} == {"second"}


async def test_branches_of_a_run_at_work_are_whole(place: Town) -> None:
    """The parent writes its progress, verdicts and phases all the while."""
    await place.set_faults({"kind": "slow", "seconds": 0.2, "rate": 0.5, "role": "judge"})
    parent = await place.begin(trainings=2)
    refused = await place.http.post(f"/v1/runs/{parent}/branch", json={"iteration": 1, "name": "early"})
    assert refused.status_code in {404, 409}
    await place.wait(parent, lambda run: run["phase"] == "assessing")
    children = []
    while (await place.get(f"/v1/runs/{parent}"))["status"] == "running":
        children.append((await branch(place, parent, 1))["id"])
        await asyncio.sleep(0.02)
    assert len(children) > 5
    whole = content(place, parent)
    for child in children:
        found = content(place, child)
        assert len(found["instructions"]) == 8
        assert {row[:2] for row in found["verdicts"]} <= {row[:2] for row in whole["verdicts"]}
        assert not found["selections"] | found["candidates"]


async def check_what_a_branch_cannot_be_is_said(place: Town, parent: str) -> None:
    num_runs = len((await place.get("/v1/runs"))["data"])
    path = f"/v1/runs/{parent}/branch"
    for body, status, said in (
        ({"iteration": 9, "name": "b"}, 404, "has no iteration 9 yet"),
        ({"iteration": 0, "name": "b"}, 422, "iteration"),
        ({"iteration": 1, "name": "b", "dataset": "other"}, 422, "dataset"),
        ({"iteration": 1, "name": "b", "config": {"student": {"base": "x"}}}, 422, "student.base"),
        ({"iteration": 1, "name": "b", "config": {"tua": 1}}, 422, "tua: unknown key"),
    ):
        reply = await place.http.post(path, json=body)
        assert (reply.status_code, said in reply.text) == (status, True), reply.text
    assert len((await place.get("/v1/runs"))["data"]) == num_runs
