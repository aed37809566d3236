"""What failed for good: the run asks when it is much, and the two ways on; counts, pages, and asking again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.coordinator.database import connect
from services.coordinator.repositories import failures, iterations
from services.coordinator.repositories.rows import execute, fetch, insert, scalar
from tests.doubles.town import Town, town
from tests.integration.builders import RUN, instruction, make_run, make_verdicts
from tests.integration.transition_guard import guard


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    guard(postgres_url)
    async with town(tmp_path, postgres_url, redis_url) as place:
        yield place


GARBAGE = {"kind": "garbage", "rate": 0.4, "role": "teacher"}


async def asking(place: Town, **config: Any) -> str:
    """A run whose teacher gave nothing readable to some instructions, paused to ask about it."""
    await place.set_faults(GARBAGE)
    run_id = await place.begin(**config)
    run = await place.wait_for_end(run_id)
    assert (run["status"], run["iteration"], run["phase"]) == ("paused", 1, "teaching")
    return run_id


async def actions(place: Town, run_id: str) -> list[str]:
    return [one["action"] for one in (await place.get(f"/v1/runs/{run_id}/log"))["data"]]


async def test_a_run_asks_and_goes_on_without_what_failed(place: Town) -> None:
    run_id = await asking(place, trainings=1)
    run = await place.get(f"/v1/runs/{run_id}")
    (counted,) = run["failures"]
    num = counted["failed"]
    assert {**counted, "failed": 0} == {"iteration": 1, "phase": "teaching", "failed": 0}
    assert 0 < num < 12
    assert f"iteration 1, teaching: {num} of 12 failed" in run["reason"]
    assert f"{num} x no readable reply" in run["reason"]
    assert "comd run retry run" in run["reason"]
    assert "comd run resume run" in run["reason"]
    await check_pages(place, run_id, num)

    await place.post(f"/v1/runs/{run_id}/resume")
    run = await place.wait_for_end(run_id)
    assert (run["status"], run["reason"]) == ("finished", None)  # and did not ask about the same again
    iteration = await place.get(f"/v1/runs/{run_id}/iterations/1")
    ended = iteration["endings"]["teaching"]
    assert (ended["ended"], ended["items"], ended["failed"]) == ("done with failures", 12, num)
    report = await place.get(f"/v1/runs/{run_id}/report")
    assert report["failures"] == [counted]
    assert f"iteration 1, teaching: {num} of 12 failed" in report["warnings"]
    assert (await actions(place, run_id)).count("failures_asked_about") == 1
    refused = await place.http.post(f"/v1/runs/{run_id}/retry")
    assert (refused.status_code, "run is finished" in refused.text.replace(run_id, "run")) == (409, True)


async def check_pages(place: Town, run_id: str, num: int) -> None:
    rows, query = [], dict[str, Any]()
    while True:
        page = await place.get(f"/v1/runs/{run_id}/failures", limit=2, **query)
        rows += page["data"]
        if page["next_cursor"] is None:
            break
        query = {"cursor": page["next_cursor"]}
    assert len({row["instruction_id"] for row in rows}) == len(rows) == num
    assert all(row["text"] and row["attempts"] and "no readable reply" in row["reason"] for row in rows)
    none = await place.get(f"/v1/runs/{run_id}/failures", phase="assessing")
    assert (none["data"], len((await place.get(f"/v1/runs/{run_id}/failures", iteration=1))["data"])) == (
        [],
        num,
    )
    for cursor in ("x", "1~teaching~0~\0", "1~teaching~9999999999999999999~a"):
        wrong = await place.http.get(f"/v1/runs/{run_id}/failures", params={"cursor": cursor})
        assert wrong.status_code == 400


async def test_retry_asks_again_and_resumes(place: Town) -> None:
    run_id = await asking(place, trainings=2, evaluation={"dataset": "heldout"})
    await place.post(f"/v1/runs/{run_id}/retry")
    run = await place.wait_for_end(run_id)
    assert run["status"] == "paused"  # what fails again is asked about again
    await place.set_faults()
    run = await place.post(f"/v1/runs/{run_id}/retry")
    assert (run["status"], run["failures"], run["reason"]) == ("running", [], None)
    run = await place.wait_for_end(run_id)
    assert (run["status"], run["failures"]) == ("finished", [])
    iteration = await place.get(f"/v1/runs/{run_id}/iterations/1")
    assert {phase: one["ended"] for phase, one in iteration["endings"].items()} == dict.fromkeys(
        ("teaching", "evaluating", "assessing", "augmenting"), "done"
    )
    story = await actions(place, run_id)
    asked = [action for action in story if action in {"failures_asked_about", "retry", "resumed"}]
    assert asked == ["failures_asked_about", "retry", "resumed"] * 2


async def test_null_never_asks_and_an_earlier_phase_is_not_retried(place: Town) -> None:
    await place.set_faults(GARBAGE, {"kind": "slow", "seconds": 0.5, "role": "student"})
    run_id = await place.begin(trainings=1, max_failed_share=None, evaluation={"dataset": "heldout"})
    await place.wait(run_id, lambda run: run["phase"] == "evaluating" and run["iteration"] == 1)
    refused = await place.http.post(f"/v1/runs/{run_id}/retry")
    assert refused.status_code == 409
    assert "is in iteration 1, evaluating, and nothing failed there" in refused.json()["error"]["message"]
    await place.set_faults()
    assert (await place.wait_for_end(run_id))["status"] == "finished"


async def test_a_retry_in_the_assessment_takes_the_student_back(place: Town) -> None:
    """The student has given all its answers and the lease is back; those of forgotten failures need it again."""
    await place.set_faults({"kind": "slow", "seconds": 2.5, "rate": 0.5, "role": "judge"})
    run_id = await place.begin(trainings=2)
    await place.wait(run_id, lambda run: run["phase"] == "assessing" and not run["holds_lease"])
    engine = connect(place.settings.database_url)
    async with engine.begin() as c, asyncio.timeout(20):
        while not (found := await fetch(c, "SELECT instruction_id FROM verdicts LIMIT 1")):
            await asyncio.sleep(0.02)
        which = {"run_id": run_id, "id": found[0]["instruction_id"]}
        where = "run_id = :run_id AND instruction_id = :id"
        await execute(c, f"UPDATE verdicts SET unjudged = true, reason = 'unreadable' WHERE {where}", **which)
        answer = f"DELETE FROM bindings WHERE {where} AND role = 'student' RETURNING request_hash"
        lost = await scalar(c, answer, **which)
        await execute(c, "DELETE FROM answers WHERE request_hash = :lost", lost=lost)
    await engine.dispose()
    await place.set_faults()
    place.trainer.loaded = None  # another run has had the trainer since
    await place.post(f"/v1/runs/{run_id}/retry")
    run = await place.wait_for_end(run_id)
    assert (run["status"], (await place.get(f"/v1/runs/{run_id}/iterations/1"))["unjudged"]) == (
        "finished",
        0,
    )


def failure(phase: str, image: str, instruction_id: int, reason: str = "no") -> dict[str, Any]:
    where = {"run_id": RUN, "iteration": 1, "phase": phase, "image": image}
    return {**where, "instruction_id": instruction_id, "reason": reason, "attempts": 3}


async def test_a_whole_image_counts_its_items_without_a_result(postgres_url: str) -> None:
    engine = connect(postgres_url)
    async with engine.begin() as c:
        await make_run(c, phase="assessing")
        pool = [instruction(1, "a"), instruction(2, "a"), instruction(3, "b"), instruction(4, "b", born_in=2)]
        await insert(c, "instructions", pool)
        await make_verdicts(c, {1: 0.5, 3: None})
        picked = {"run_id": RUN, "iteration": 1, "kind": "easy"}
        await insert(c, "selections", [{**picked, "instruction_id": 3}])
        failed = [failure("teaching", "a", 0, "x"), failure("teaching", "a", 1, "y")]
        failed += [
            failure("teaching", "b", 0, "x"),
            failure("assessing", "a", 0),
            failure("augmenting", "b", 0),
        ]
        await insert(c, "failures", failed)
        rows = await failures.counts(c, RUN)
        counted = {row["phase"]: row["failed"] for row in rows}
        assert counted == {"teaching": 3, "assessing": 1, "augmenting": 1}
        stand = await failures.stand(c, RUN, 1, "teaching")
        assert stand["reasons"] == [{"reason": "x", "failed": 3}]
    await engine.dispose()


async def test_forgetting_keeps_what_no_second_try_can_change(postgres_url: str) -> None:
    engine = connect(postgres_url)
    async with engine.begin() as c:
        await make_run(c, phase="assessing")
        await insert(c, "instructions", [instruction(number, f"image {number}") for number in range(1, 6)])
        await make_verdicts(c, {1: 0.5, 2: None, 3: None, 4: None})
        for number, reason in ((2, failures.NO_TEACHER_ANSWER), (3, "no readable reply"), (4, "refused")):
            said = "UPDATE verdicts SET reason = :reason WHERE instruction_id = :id"
            await execute(c, said, reason=reason, id=number)
        later = {**failure("teaching", "image 1", 9), "iteration": 2}
        earlier = failure("teaching", "image 2", 2)
        await insert(c, "failures", [failure("assessing", "image 4", 4), later, earlier])
        task = {"run_id": RUN, "iteration": 1, "phase": "assessing", "attempt": 3, "errors": 3}
        await insert(c, "tasks", [{**task, "image": "image 5", "state": "failed", "estimate_nanos": 0}])
        await insert(c, "failures", [failure("assessing", "image 5", 0)])
        born_later = instruction(9, "image 1", born_in=2)
        await insert(c, "instructions", [born_later])
        assert await failures.num_retryable(c, RUN, 1, "assessing") == 4  # 3, 4 and 5, and the one born later
        await failures.forget(c, RUN, 1, "assessing")
        assert await failures.num_retryable(c, RUN, 1, "assessing") == 0
        left = await fetch(c, "SELECT instruction_id FROM verdicts ORDER BY 1")
        assert [row["instruction_id"] for row in left] == [1, 2]
        assert [row["phase"] for row in await fetch(c, "SELECT iteration, phase FROM failures")] == [
            "teaching"
        ]
        assert await fetch(c, "SELECT state, errors, attempt FROM tasks") == [
            {"state": "todo", "errors": 0, "attempt": 3}
        ]
    await engine.dispose()


async def test_a_phase_is_not_over_once_its_failures_are_asked_again(postgres_url: str) -> None:
    """The driver found it over before the retry, and writes that after it."""
    engine = connect(postgres_url)
    async with engine.begin() as c:
        await make_run(c, phase="teaching")
        await iterations.renew(c, RUN, 1, "teaching")
        ended = {"ended": "asks", "items": 1, "failed": 1}
        assert not await iterations.note_ending(c, RUN, 1, "teaching", ended, retries=0)
        assert not await iterations.move(c, RUN, 1, "teaching", "training", retries=0)
        assert (await iterations.get(c, RUN, 1) or {})["phase"] == "teaching"
        assert await iterations.move(c, RUN, 1, "teaching", "training", retries=1)
    await engine.dispose()
