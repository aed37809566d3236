"""Calls and their sums: once each, whatever is delivered or written twice; what a run shows of them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Response
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.coordinator.clients import Services
from services.coordinator.committer import ClaimLost, Committer
from services.coordinator.database import connect
from services.coordinator.outgoing import Http
from services.coordinator.repositories import planning, tasks, usage, work
from services.coordinator.repositories.rows import execute, fetch_one, insert, scalar
from services.coordinator.repositories.tasks import Claim, TaskKey
from services.coordinator.settings import CoordinatorSettings
from tests.doubles.town import KEYS, Town, town
from tests.integration.builders import RUN, instruction, make_run
from tests.loopback import serving

SUMS = ", ".join(f"sum({name}) AS {name}" for name in usage.SUMMED)
PRICES = {
    "teacher": {"price": {"prompt": 1.0, "completion": 2.0}},
    "assessor": {"price": {"completion": 3.0}},
    "augmentor": {"price": {"completion": 4.0}},
}


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = connect(postgres_url)
    async with engine.begin() as c:
        await make_run(c)
        await insert(c, "instructions", [instruction(n, image) for n, image in enumerate("ab", 1)])
        await planning.plan(c, RUN, 1, "teaching", work.LACKING["teaching"])
    yield engine
    await engine.dispose()


def call(claim: Claim, number: int, role: str = "teacher", **more: Any) -> dict[str, Any]:
    """A row of `calls`."""
    used = {"prompt_tokens": 10, "cached_tokens": 4, "completion_tokens": 3, "seconds": 0.5, "cost_nanos": 7}
    told = {"number": number, "role": role, "model_revision": "r", "items": 1, "calls": 1}
    return {**claim.as_json(), **told, **used, **more}


async def sums(c: AsyncConnection) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Of the calls one by one, and of their sums."""
    return await fetch_one(c, f"SELECT {SUMS} FROM calls"), await fetch_one(
        c, f"SELECT {SUMS} FROM usage_totals"
    )


async def test_a_call_that_is_written_twice_counts_once(engine: AsyncEngine) -> None:
    claim = Claim(TaskKey(RUN, 1, "teaching", "a"), 1)
    async with engine.begin() as c:
        await usage.record(c, [call(claim, 1), call(claim, 2)])
        await usage.record(c, [call(claim, 2, prompt_tokens=999), call(claim, 3, role="student", calls=2)])
        await usage.record(c, [])
        one_by_one, totals = await sums(c)
        assert one_by_one == totals
        assert totals
        assert (totals["prompt_tokens"], totals["calls"], totals["items"]) == (30, 4, 3)
        rows = {row["role"]: row["cost_nanos"] for row in await usage.totals(c, RUN)}
        assert rows == {"teacher": 14, "student": 7}


async def test_calls_of_a_lost_task_count_and_their_results_do_not(engine: AsyncEngine) -> None:
    async with engine.begin() as c:
        keys = [TaskKey(RUN, 1, "teaching", image) for image in "ab"]
        ours, lost = await tasks.claim(c, keys, "w", 60)
        await execute(c, "UPDATE tasks SET attempt = 9 WHERE image = 'b'")
    committer = Committer(engine)
    running = asyncio.create_task(committer.run())
    failed = {"failures": [{**lost.key.as_json(), "instruction_id": 0, "reason": "r", "attempts": 1}]}
    results = await asyncio.gather(
        committer.commit(ours, {"calls": [call(ours, 1)]}, finish=True),
        committer.commit(lost, {"calls": [call(lost, 1)], **failed}),
        return_exceptions=True,
    )
    running.cancel()
    assert [type(one) for one in results] == [type(None), ClaimLost]
    async with engine.connect() as c:
        assert await scalar(c, "SELECT calls FROM usage_totals") == 2
        assert await scalar(c, "SELECT count(*) FROM failures") == 0


async def test_workers_that_write_the_same_sums_at_once_lose_nothing(engine: AsyncEngine) -> None:
    """Each transaction writes all roles, in every order."""
    roles = ("teacher", "student", "assessor", "augmentor")

    async def write(worker: int) -> None:
        claim = Claim(TaskKey(RUN, 1, "teaching", f"image {worker}"), 1)
        for turn in range(10):
            rows = [call(claim, 4 * turn + n, roles[(n + worker) % 4]) for n in range(4)]
            async with engine.begin() as c:
                await usage.record(c, rows)

    await asyncio.gather(*(write(worker) for worker in range(8)))
    async with engine.connect() as c:
        one_by_one, totals = await sums(c)
        assert one_by_one == totals
        assert {row["calls"] for row in await usage.totals(c, RUN)} == {80}


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    async with town(tmp_path, postgres_url, redis_url, num_workers=2) as place:
        yield place


async def test_a_run_shows_what_it_used(place: Town, postgres_url: str) -> None:
    await place.set_faults({"kind": "gibberish", "role": "judge", "rate": 0.2})
    run_id = await place.begin(trainings=2, evaluation={"dataset": "heldout"}, **PRICES)
    run = await place.wait_for_end(run_id)
    assert run["status"] == "finished"
    asked = (await place.http.get(f"{place.engine_url}/scripted/calls")).json()["by_role"]
    by_role = run["usage"]["by_role"]
    counted = {role: by_role[role]["calls"] for role in ("teacher", "student", "assessor", "augmentor")}
    assert counted == {
        "teacher": asked["teacher"],
        "student": asked["student"],
        "assessor": asked["judge"],  # those whose replies could not be read, too
        "augmentor": asked["augmentor"],
    }
    assert by_role["teacher"]["cost"] == pytest.approx(
        (by_role["teacher"]["prompt_tokens"] + 2 * by_role["teacher"]["completion_tokens"]) / 1e6, abs=1e-12
    )
    assert by_role["student"]["cost"] == 0
    assert by_role["student"]["seconds"] > 0
    assert run["usage"]["spent"] == pytest.approx(sum(role["cost"] for role in by_role.values()), abs=1e-12)

    engine = connect(postgres_url)
    async with engine.connect() as c:
        one_by_one, totals = await sums(c)
        assert {**(one_by_one or {}), "seconds": 0} == {**(totals or {}), "seconds": 0}
        tokens = await scalar(c, "SELECT sum(prompt_tokens) FROM answers WHERE role = 'teacher'")
    await engine.dispose()
    assert by_role["teacher"]["prompt_tokens"] == tokens

    found = await place.get(f"/v1/runs/{run_id}/usage")
    assert [part["number"] for part in found["iterations"]] == [0, 1, 2]
    assert set(found["iterations"][0]["by_role"]) == {"student"}
    first = (await place.get(f"/v1/runs/{run_id}/iterations/1"))["usage"]
    listed = (await place.get(f"/v1/runs/{run_id}/iterations"))["data"]
    report = await place.get(f"/v1/runs/{run_id}/report")
    assert first["by_role"] == found["iterations"][1]["by_role"] == listed[1]["usage"]["by_role"]
    assert report["usage"] == run["usage"]
    assert report["iterations"][1]["usage"] == first


async def test_answers_that_are_there_already_cost_nothing(place: Town) -> None:
    await place.wait_for_end(await place.begin(trainings=1, **PRICES))
    second = await place.post("/v1/runs", {"name": "2", "dataset": "world", "config": {"trainings": 1}})
    await place.post(f"/v1/runs/{second['id']}/iterations", {})
    run = await place.wait_for_end(second["id"])
    assert run["usage"]["by_role"] == {}


@pytest.mark.parametrize(("header", "seconds"), [("12.5", 12.5), ("soon", None), ("-1", None), (None, None)])
async def test_seconds_are_the_engines_own_where_they_are_told(
    header: str | None, seconds: float | None
) -> None:
    app = FastAPI()

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"service": "teacher"}

    @app.post("/v1/chat/completions")
    async def chat(response: Response) -> dict[str, Any]:
        await asyncio.sleep(0.02)
        if header is not None:
            response.headers["x-comd-engine-seconds"] = header
        used = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
        return {"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}], "usage": used}

    http = Http(KEYS, 10)
    with serving(app) as url:
        services = Services(http, CoordinatorSettings(teacher_url=url))
        used = (await services.chat("teacher", "m", None, "is it?", {}, 1)).usage
    await services.close()
    assert (used.prompt_tokens, used.cached_tokens, used.completion_tokens, used.calls) == (9, 4, 2, 1)
    assert used.seconds == seconds if seconds is not None else 0.02 <= used.seconds < 5
