"""Evaluations through REST: a whole measurement, killed and resumed, refused, of a run's student, its tables."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.coordinator.api.evaluations import exported_lines
from services.coordinator.database import connect
from tests.doubles.official import write_llava_bench, write_scienceqa, write_seed_bench
from tests.doubles.test_taker import TestTaker, create_app
from tests.doubles.town import Town, town
from tests.loopback import serving

LETTERS = {"colour is the box": "(A)", "noun": "The answer is C.", "capital": "I cannot say.", "solid": "B"}
KINDS = {"scienceqa": write_scienceqa, "seed-bench": write_seed_bench, "llava-bench": write_llava_bench}


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    async with town(tmp_path, postgres_url, redis_url) as place:
        yield place


@asynccontextmanager
async def taker(**fields: Any) -> AsyncIterator[tuple[TestTaker, dict[str, Any]]]:
    """A model that takes tests, and how an evaluation names it."""
    says = fields.pop("says", lambda text: next((LETTERS[key] for key in LETTERS if key in text), "A"))
    one = TestTaker(says=says, **fields)
    with serving(create_app(one)) as url:
        yield one, {"engine": {"base_url": url, "model": "taker"}}


async def register(place: Town, kind: str, **fields: Any) -> str:
    folder = KINDS[kind](place.folder / kind, **fields)
    await place.post("/v1/benchmarks", {"name": kind, "kind": kind, "path": str(folder)})
    return kind


async def measured(place: Town, benchmark: str, model: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """The finished evaluation."""
    asked = {"benchmark": benchmark, "model": model, "settings": settings}
    begun = await place.post("/v1/evaluations", asked)
    await place.wait_for_end(begun["id"])
    return dict(await place.get(f"/v1/evaluations/{begun['id']}"))


async def test_scienceqa_by_letter(place: Town) -> None:
    benchmark = await register(place, "scienceqa")
    async with taker() as (one, model):
        evaluation = await measured(place, benchmark, model)
        again = await measured(place, benchmark, model)
    assert (evaluation["status"], evaluation["reason"], evaluation["items"]) == ("finished", None, 5)
    assert evaluation["outcomes"] == {"right": 2, "wrong": 2, "unreadable": 1}
    assert evaluation["scores"]["AVG"]["value"] == pytest.approx(40.0)
    assert evaluation["scores"]["NAT"]["value"] == pytest.approx(100 / 3)
    assert list(evaluation["scores"])[:3] == ["NAT", "SOC", "LAN"]
    assert (evaluation["settings"]["temperature"], evaluation["split"]) == (0.5, "test")
    questions = [body for body in one.asked if body.get("max_tokens") != 1]
    assert len(questions) == 5  # the second evaluation found every answer
    assert again["scores"] == evaluation["scores"]
    assert {body["temperature"] for body in questions} == {0.5}
    assert not any(message["role"] == "system" for body in questions for message in body["messages"])
    await check_items(place, evaluation)
    await check_it_does_not_train(place, evaluation)


async def check_items(place: Town, evaluation: dict[str, Any]) -> None:
    """Every question can be looked at, and the table be counted again from the export."""
    path = f"/v1/evaluations/{evaluation['id']}"
    (unreadable,) = (await place.get(f"{path}/items", outcome="unreadable"))["data"]
    assert (unreadable["answer_text"], unreadable["prediction"], unreadable["correct"]) == (
        "I cannot say.",
        None,
        False,
    )
    assert (unreadable["choices"][unreadable["answer"]], unreadable["image"]) == ("Elm", None)
    first = await place.get(f"{path}/items", limit=3)
    rest = await place.get(f"{path}/items", after=first["next_cursor"])
    exported = (await place.http.get(f"{path}/export")).content.splitlines()
    assert [orjson.loads(line) for line in exported] == [*first["data"], *rest["data"]]
    counted = [orjson.loads(line)["correct"] for line in exported]
    assert evaluation["scores"]["AVG"]["value"] == pytest.approx(100 * sum(counted) / len(counted))
    await check_a_slow_reader_holds_no_connection(place, evaluation["id"])
    of_group = await place.get(f"{path}/items", group="IMG")
    assert {one["name"] for one in of_group["data"]} == {"3", "11"}


async def check_a_slow_reader_holds_no_connection(place: Town, evaluation_id: str) -> None:
    engine = connect(place.settings.database_url)
    lines = exported_lines(engine, evaluation_id)
    assert (await anext(lines)).count(b"\n") == 5
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    await lines.aclose()
    await engine.dispose()


async def check_it_does_not_train(place: Town, evaluation: dict[str, Any]) -> None:
    for path, body in (("iterations", {}), ("branch", {"iteration": 1, "name": "b"})):
        reply = await place.http.post(f"/v1/runs/{evaluation['id']}/{path}", json=body)
        assert (reply.status_code, "is an evaluation" in reply.text) == (409, True)
    reply = await place.http.patch(f"/v1/runs/{evaluation['id']}", json={"budget": 1.0})
    assert (reply.status_code, "is an evaluation" in reply.text) == (409, True)


async def test_what_the_engine_refuses_is_asked_about_and_asked_again(place: Town) -> None:
    benchmark = await register(place, "scienceqa")
    async with taker(refuses="noun") as (one, model):
        evaluation = await measured(place, benchmark, model)
        assert (evaluation["status"], evaluation["outcomes"]["failed"]) == ("paused", 1)
        assert "1 of 5 failed" in evaluation["reason"]
        path = f"/v1/evaluations/{evaluation['id']}"
        early = await place.http.get(f"{path}/difference", params={"other": evaluation["id"]})
        assert (early.status_code, "is paused" in early.text) == (409, True)
        (failed,) = (await place.get(f"{path}/items", outcome="failed"))["data"]
        assert (failed["name"], "not allowed" in failed["failure"]) == ("12", True)
        one.refuses = None
        await place.post(f"/v1/runs/{evaluation['id']}/retry")
        assert (await place.wait_for_end(evaluation["id"]))["status"] == "finished"
    again = await place.get(path)
    assert again["outcomes"] == {"right": 2, "wrong": 2, "unreadable": 1}
    assert again["scores"]["LAN"]["value"] == 100.0


async def test_a_table_beside_the_papers(place: Town) -> None:
    benchmark = await register(place, "scienceqa")
    async with taker() as (_, model):
        worse = await measured(place, benchmark, model)
    async with taker(says=lambda text: "The answer is A.") as (_, model):
        better = await measured(place, benchmark, model)
    path = f"/v1/evaluations/{better['id']}"
    table = await place.get(f"{path}/table", beside=[worse["id"]])
    assert [row["source"] for row in table["rows"]][:3] == ["measured", "measured", "paper"]
    assert table["rows"][0]["cells"][-1]["value"] == better["scores"]["AVG"]["value"]
    texts = {
        kind: (await place.http.get(f"{path}/table", params={"format": kind})).text
        for kind in ("text", "csv", "latex")
    }
    assert all("91.94" in text for text in texts.values())
    assert "\\toprule" in texts["latex"]
    difference = await place.get(f"{path}/difference", other=worse["id"])
    gap = better["scores"]["AVG"]["value"] - worse["scores"]["AVG"]["value"]
    assert difference["columns"]["AVG"]["value"] == pytest.approx(gap)


async def test_seed_bench_by_likelihood(place: Town) -> None:
    benchmark = await register(place, "seed-bench")
    likes = {"green": -0.1, "red": -0.5}
    async with taker(logprob=lambda question, choice: likes.get(choice, -2.0)) as (one, model):
        evaluation = await measured(
            place, benchmark, {"engine": {**model["engine"], "kind": "vllm"}}, method="likelihood"
        )
        asked = len(one.asked)
        await measured(place, benchmark, {"engine": {**model["engine"], "kind": "vllm"}}, method="likelihood")
    items = (await place.get(f"/v1/evaluations/{evaluation['id']}/items"))["data"]
    assert {one["prediction"] for one in items} == {1}
    assert items[0]["likelihoods"] == pytest.approx([0.5, 0.1, 2.0, 2.0])
    right = sum(one["answer"] == 1 for one in items)
    assert evaluation["scores"]["AVG"]["value"] == pytest.approx(100 * right / len(items))
    assert len(one.asked) - asked <= 4  # the probes of the second evaluation; the rest was known


async def test_the_llava_test_set_is_judged(place: Town) -> None:
    benchmark = await register(place, "llava-bench")
    async with taker(says=lambda text: "The box is red.") as (_, model):
        for sees in ("image", "context"):
            await check_reviews(place, await measured(place, benchmark, model, judge_sees=sees))


async def check_reviews(place: Town, evaluation: dict[str, Any]) -> None:
    items = (await place.get(f"/v1/evaluations/{evaluation['id']}/items"))["data"]
    assert evaluation["outcomes"] == {"judged": 6}
    for one in items:
        assert [run["order"] for run in one["review"]["runs"]] == ["teacher_first", "student_first"]
    ours = sum(one["review"]["student_score"] for one in items)
    theirs = sum(one["review"]["teacher_score"] for one in items)
    assert evaluation["scores"]["all"]["value"] == pytest.approx(100 * ours / theirs)


async def test_a_run_measures_its_student_after_each_training(place: Town) -> None:
    await register(place, "scienceqa")
    run_id = await place.begin(trainings=2, benchmarks=[{"benchmark": "scienceqa"}])
    run = await place.wait_for_end(run_id)
    assert (run["status"], run["iteration"]) == ("finished", 2)
    found = (await place.get("/v1/evaluations", run=run_id))["data"]
    assert sorted(one["iteration"] for one in found) == [0, 1, 2]
    iterations = (await place.get(f"/v1/runs/{run_id}/iterations"))["data"]
    by_number = {one["iteration"]: one for one in found}
    assert [by_number[n]["model"]["checkpoint"] for n in (1, 2)] == [
        one["checkpoint"] for one in iterations[1:]
    ]
    assert all(one["scores"]["AVG"]["num"] == 5 for one in found)
    assert (await place.get("/v1/runs"))["data"][0]["id"] == run_id
    assert len((await place.get("/v1/runs"))["data"]) == 1  # evaluations are listed for themselves
    assert place.trainer.owner is None


async def test_a_branch_shows_what_was_measured_before_it(place: Town) -> None:
    await register(place, "scienceqa")
    run_id = await place.begin(trainings=3, benchmarks=[{"benchmark": "scienceqa"}])
    await place.wait_for_end(run_id)

    async def branched(parent: str, iteration: int) -> str:
        asked = {"iteration": iteration, "name": "other", "config": {}}
        return str((await place.post(f"/v1/runs/{parent}/branch", asked))["id"])

    async def shown(run: str) -> list[tuple[str, int]]:
        found = (await place.get("/v1/evaluations", run=run, benchmark="scienceqa"))["data"]
        return sorted((one["run"], one["iteration"]) for one in found)

    child = await branched(run_id, 2)
    grandchild = await branched(child, 1)
    assert await shown(child) == [(run_id, number) for number in (0, 1, 2)]
    assert await shown(grandchild) == [(run_id, number) for number in (0, 1)]
    await place.post(f"/v1/runs/{grandchild}/iterations", {"count": 1})
    assert (await place.wait_for_end(grandchild))["iteration"] == 2
    assert await shown(grandchild) == sorted([(run_id, 0), (run_id, 1), (grandchild, 2)])
    assert await shown(run_id) == [(run_id, number) for number in range(4)]


async def test_pausing_the_run_pauses_its_evaluation_and_nothing_is_asked_twice(place: Town) -> None:
    await register(place, "seed-bench")
    await place.set_faults({"role": "student", "kind": "slow", "seconds": 0.4})
    run_id = await place.begin(trainings=1, benchmarks=[{"benchmark": "seed-bench"}])
    await place.wait(
        run_id, lambda run: (run["progress"].get("unit"), run["status"]) == ("questions", "running")
    )
    await place.post(f"/v1/runs/{run_id}/pause")
    (evaluation,) = (await place.get("/v1/evaluations", run=run_id))["data"]
    assert evaluation["status"] == "paused"
    await place.post(f"/v1/runs/{run_id}/resume")
    run = await place.wait_for_end(run_id)
    assert run["status"] == "finished"
    one = await place.get(f"/v1/evaluations/{evaluation['id']}")
    usage = await place.get(f"/v1/runs/{evaluation['id']}/usage")
    assert (one["status"], usage["by_role"]["tested"]["items"]) == ("finished", one["items"])


async def test_what_cannot_be_measured_is_refused(place: Town) -> None:
    benchmark = await register(place, "seed-bench")
    async with taker() as (_, model):
        for change, said in (
            ({"benchmark": "none"}, "register it first"),
            ({"model": {}}, "exactly one of"),
            ({"model": {"checkpoint": "nobody"}}, "nobody"),
            ({"model": {"run": "none"}}, "no run 'none'"),
            ({"settings": {"judge_sees": "context"}}, "belongs to llava-bench"),
            ({"settings": {"method": "guess"}}, "letter"),
            ({"settings": {"method": "likelihood"}}, 'use method = \\"letter\\"'),
        ):
            asked = {"benchmark": benchmark, "model": model, **change}
            reply = await place.http.post("/v1/evaluations", json=asked)
            assert (reply.status_code in {400, 404, 422}, said in reply.text) == (True, True), reply.text
    assert (await place.get("/v1/evaluations"))["data"] == []


async def test_a_benchmark_is_read_whole_or_not_at_all(place: Town) -> None:
    folder = write_scienceqa(place.folder / "broken")
    (folder / "test" / "3" / "image.png").write_bytes(b"no picture")
    asked = {"name": "broken", "kind": "scienceqa", "path": str(folder)}
    reply = await place.http.post("/v1/benchmarks", json=asked)
    assert (reply.status_code, "3: image.png" in reply.text) == (422, True)
    assert (await place.get("/v1/benchmarks"))["data"] == []
    outside = await place.http.post("/v1/benchmarks", json={**asked, "path": "/etc"})
    assert outside.status_code == 403
    await register(place, "scienceqa")
    await register(place, "scienceqa")  # the same files: nothing changes
    folder = write_seed_bench(place.folder / "other")
    reply = await place.http.post(
        "/v1/benchmarks", json={"name": "scienceqa", "kind": "seed-bench", "path": str(folder)}
    )
    assert (reply.status_code, "other content" in reply.text) == (409, True)
    (one,) = (await place.get("/v1/benchmarks"))["data"]
    assert (one["num_items"], one["num_images"], one["split"]) == (5, 2, "test")
    assert (await place.get("/v1/datasets"))["data"] == []
