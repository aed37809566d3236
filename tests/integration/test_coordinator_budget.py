"""A budget stops a run at its limit, however many workers there are, and a raised one lets it go on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typer.testing import CliRunner

from comd.commands.runs import app
from services.coordinator.costs import NANOS
from services.coordinator.database import connect
from services.coordinator.purse import Purse
from services.coordinator.repositories import budgets, planning, runs, tasks, usage, work
from services.coordinator.repositories.rows import execute, fetch, insert, scalar
from services.coordinator.repositories.tasks import Claim, TaskKey
from services.coordinator.run_config import RunConfig
from services.coordinator.tasks.work import Tools, Work
from shared.types import RoleIdentity, Sampling
from tests.doubles.town import KEYS, Town, town
from tests.integration.builders import RUN, instruction, make_run
from tests.integration.test_coordinator_usage import call

A_TOKEN = {"price": {"completion": 10_000.0}}  # one hundredth of the currency for each token of a reply
IMAGES = "abcdefghijkl"
LIMIT = 2.0  # of 3.8 that the whole would cost


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = connect(postgres_url)
    async with engine.begin() as c:
        await make_run(c, teacher=A_TOKEN, budget={"limit": 1.0})
        await insert(c, "instructions", [instruction(n, image) for n, image in enumerate(IMAGES, 1)])
        await planning.plan(c, RUN, 1, "teaching", work.LACKING["teaching"])
    yield engine
    await engine.dispose()


async def claimed(c: AsyncConnection, *images: str, lease_s: float = 60) -> list[Claim]:
    return await tasks.claim(c, [TaskKey(RUN, 1, "teaching", image) for image in images], "w", lease_s)


async def test_a_reservation_shrinks_as_it_is_spent_and_vanishes_with_its_lease(engine: AsyncEngine) -> None:
    async with engine.begin() as c:
        first, second = await claimed(c, "a", "b")
        assert await budgets.reserve(c, first, 100)
        assert await budgets.reserve(c, second, 50)
        assert await budgets.stand(c, RUN) == budgets.Stand(0, 150, 2)
        await usage.record(c, [call(first, 1, cost_nanos=30)])
        assert await budgets.stand(c, RUN) == budgets.Stand(30, 120, 2)
        await usage.record(c, [call(first, 2, cost_nanos=90)])  # dearer than estimated: nothing is left over
        assert await budgets.stand(c, RUN) == budgets.Stand(120, 50, 2)
        await tasks.finish(c, [first])
        assert await budgets.stand(c, RUN) == budgets.Stand(120, 50, 1)
        await execute(c, "UPDATE tasks SET leased_until = now() - interval '1 second' WHERE image = 'b'")
        assert await budgets.stand(c, RUN) == budgets.Stand(120, 0, 0)
        (again,) = await claimed(c, "b")  # the dead worker's calls are no longer held against the next one's
        assert await budgets.stand(c, RUN) == budgets.Stand(120, 0, 1)
        assert not await budgets.reserve(c, second, 50)
        await tasks.give_back(c, [again])
        assert await budgets.stand(c, RUN) == budgets.Stand(120, 0, 0)


async def test_a_refused_task_says_what_it_would_have_needed(engine: AsyncEngine) -> None:
    async with engine.begin() as c:
        first, second = await claimed(c, "a", "b")
        assert await budgets.smallest_refused(c, RUN) is None
        await budgets.refuse(c, first, 70)
        await budgets.refuse(c, second, 60)
        assert await budgets.smallest_refused(c, RUN) == 60
        await claimed(c, "b")
        assert await budgets.smallest_refused(c, RUN) == 70


class Identities:
    """A teacher's service that is asked for nothing but who it is."""

    async def identity(self, role: str, engine: object) -> RoleIdentity:
        sampling = Sampling(max_tokens=10)
        return RoleIdentity(role="teacher", prompt_version="1", model="m", revision="r", sampling=sampling)


async def test_tasks_that_are_weighed_at_once_never_share_the_same_money(engine: AsyncEngine) -> None:
    """Twelve workers want 0.30 each of a budget of 1.00."""
    async with engine.begin() as c:
        claims = await claimed(c, *IMAGES)
        run = await runs.get(c, RUN)
    assert run
    config = RunConfig.model_validate(run["config"])
    tools = Tools(Identities(), None, None)  # type: ignore[arg-type]
    works = [Work(claim, config, {}, "", {}, {}, [{"id": 1, "text": "is it?"}]) for claim in claims]
    paid = await asyncio.gather(*(Purse(engine).pays(one, tools) for one in works))
    assert sum(paid) == 3
    async with engine.connect() as c:
        assert await budgets.stand(c, RUN) == budgets.Stand(0, 3 * 30 * NANOS // 100, 3)
        run = await runs.get(c, RUN)
    assert run
    assert run["status"] == "running"  # three are still in flight


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    """A hundred and sixty pictures with two questions each, three workers."""
    async with town(tmp_path, postgres_url, redis_url, 160, num_workers=3, max_tokens=4) as place:
        yield place


async def test_a_budget_stops_the_run_below_its_limit_and_a_higher_one_lets_it_go_on(
    place: Town, postgres_url: str
) -> None:
    await place.set_faults({"kind": "slow", "seconds": 0.1, "role": "teacher"})  # many are in flight at once
    run_id = await place.begin(trainings=1, teacher=A_TOKEN, budget={"limit": LIMIT})
    run = await place.wait_for_end(run_id)
    assert (run["status"], run["phase"]) == ("paused", "teaching")
    assert f"the budget of {LIMIT:.2f} USD is used up" in run["reason"]
    assert "comd run budget run AMOUNT" in run["reason"]
    spent = run["usage"]["spent"]
    assert 0.7 * LIMIT < spent <= LIMIT
    assert run["usage"]["limit"] == LIMIT
    await check_nothing_was_thrown_away(place, postgres_url)

    await place.post(f"/v1/runs/{run_id}/resume")
    again = await place.wait_for_end(run_id)
    assert (again["status"], again["reason"], again["usage"]) == ("paused", run["reason"], run["usage"])

    changed = (await place.http.patch(f"/v1/runs/{run_id}", json={"budget": 1000})).json()
    assert (changed["usage"]["limit"], changed["usage"]["spent"]) == (1000, spent)
    await place.post(f"/v1/runs/{run_id}/resume")
    run = await place.wait_for_end(run_id)
    assert (run["status"], run["reason"]) == ("finished", None)
    assert run["usage"]["spent"] > LIMIT
    await check_nothing_was_thrown_away(place, postgres_url)


async def _num_leased(engine: AsyncEngine) -> int:
    async with engine.connect() as c:
        return int(await scalar(c, "SELECT count(*) FROM tasks WHERE state = 'leased'"))


async def check_nothing_was_thrown_away(place: Town, postgres_url: str) -> None:
    """Every call that the teacher's engine saw is counted, and its answer is there: no one was asked twice."""
    asked = (await place.http.get(f"{place.engine_url}/scripted/calls")).json()["by_role"]["teacher"]
    engine = connect(postgres_url)
    async with engine.connect() as c:
        rows = await fetch(
            c, "SELECT count(*) AS num, sum(cost_nanos) AS nanos FROM calls WHERE role = 'teacher'"
        )
        answers = await fetch(c, "SELECT count(*) AS num, sum(completion_tokens) AS tokens FROM answers")
    async with asyncio.timeout(10):  # tasks that were claimed as the run paused go back
        while await _num_leased(engine):
            await asyncio.sleep(0.05)
    await engine.dispose()
    assert rows[0]["num"] == asked
    assert answers[0]["num"] == asked
    assert rows[0]["nanos"] == answers[0]["tokens"] * NANOS // 100


async def test_a_task_that_is_bigger_than_the_whole_budget_pauses_the_run(place: Town) -> None:
    run_id = await place.begin(trainings=1, teacher=A_TOKEN, budget={"limit": 0.2})
    run = await place.wait_for_end(run_id)
    assert (run["status"], run["usage"]["spent"]) == ("paused", 0)
    assert "0.0000 spent, and the next task may cost 0.2400" in run["reason"]  # 2 answers of 4 + 8 tokens


async def test_the_command_line_shows_spending_and_raises_the_budget(
    place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await place.begin(trainings=1, teacher=A_TOKEN, budget={"limit": 0.3})
    await place.wait_for_end(run_id)
    monkeypatch.setenv("COMD_URL", str(place.http.base_url))
    monkeypatch.setenv("COMD_API_KEY", KEYS.api)
    monkeypatch.setenv("COMD_INTERNAL_KEY", KEYS.internal)

    async def comd(*words: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, app, [*words])
        assert result.exit_code == 0, result.output
        return result.output

    said = await comd("show", "run")
    assert "(of 0.30)" in said
    assert "Run run is paused: the budget of 0.30 USD is used up" in said
    assert "run run may spend 50.00: spent: 0." in await comd("budget", "run", "50")
    assert "run run is running" in await comd("resume", "run")
    assert (await place.wait_for_end(run_id))["status"] == "finished"


async def test_a_budget_without_prices_holds_nobody_up(place: Town) -> None:
    run_id = await place.begin(trainings=1, budget={"limit": 0.0})
    assert (await place.wait_for_end(run_id))["status"] == "finished"


async def test_a_call_costs_what_it_cost_when_it_was_made(place: Town) -> None:
    run_id = await place.begin(trainings=1, teacher=A_TOKEN, budget={"limit": LIMIT})
    before = (await place.wait_for_end(run_id))["usage"]["by_role"]["teacher"]
    path = f"/v1/runs/{run_id}"
    free: dict[str, Any] = {"prices": {"teacher": {"completion": 0.0}}}
    assert (await place.http.patch(path, json=free)).json()["usage"]["by_role"]["teacher"] == before
    await place.post(f"{path}/resume")
    run = await place.wait_for_end(run_id)
    after = run["usage"]["by_role"]["teacher"]
    assert (run["status"], after["cost"]) == ("finished", before["cost"])
    assert after["calls"] > before["calls"]


async def test_wrong_prices_and_budgets_are_refused(place: Town) -> None:
    await place.register()
    run = await place.post("/v1/runs", {"name": "r", "dataset": "world"})
    for change, said in (
        ({}, "at least one of endpoints, restart_assessment, prices and budget"),
        ({"budget": -1}, "budget"),
        ({"prices": {"cook": None}}, "cook"),
        ({"prices": {"teacher": {"tokens": 1}}}, "tokens"),
    ):
        reply = await place.http.patch(f"/v1/runs/{run['id']}", json=change)
        assert (reply.status_code, said in reply.text) == (422, True), reply.text
    reply = await place.http.patch(f"/v1/runs/{run['id']}", json={"budget": 3})
    assert reply.json()["usage"]["limit"] == 3
    reply = await place.http.patch(f"/v1/runs/{run['id']}", json={"budget": None})
    assert reply.json()["usage"]["limit"] is None


async def test_a_worker_that_dies_gives_its_reservation_back(place: Town, postgres_url: str) -> None:
    """What it held comes free with its lease, and the run spends the rest."""
    engine = connect(postgres_url)
    await place.set_faults({"kind": "slow", "seconds": 0.3, "role": "teacher"})
    run_id = await place.begin(trainings=1, teacher=A_TOKEN, budget={"limit": LIMIT})
    async with asyncio.timeout(20):
        while not await _forge_dead_owner(engine, run_id):
            await asyncio.sleep(0.02)
    await place.set_faults()
    run = await place.wait_for_end(run_id)
    assert run["status"] == "paused"
    assert 0.7 * LIMIT < run["usage"]["spent"] <= LIMIT
    await engine.dispose()


async def _forge_dead_owner(engine: AsyncEngine, run_id: str) -> bool:
    """A task in the hands of somebody who never says a word again, with half of the budget set aside for it."""
    async with engine.begin() as c:
        changed = await execute(
            c,
            """
            UPDATE tasks SET state = 'leased', attempt = attempt + 1, owner = 'dead', estimate_nanos = :nanos,
                leased_until = now() + interval '2 seconds'
            WHERE run_id = :run_id AND image = (SELECT max(image) FROM tasks WHERE state IN ('todo', 'published'))
            """,
            nanos=int(LIMIT * NANOS / 2),
            run_id=run_id,
        )
    return changed == 1
