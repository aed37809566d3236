"""The loop through REST: a whole run, more trainings, pause, waiting engines, failing jobs, exhaustion."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.doubles.town import Town, town

FULL = {"trainings": 2, "pretraining": {"dataset": "captions"}, "evaluation": {"dataset": "heldout"}}


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    async with town(tmp_path, postgres_url, redis_url) as place:
        yield place


async def test_a_whole_run_and_then_more(place: Town) -> None:
    run_id = await place.begin(**FULL)
    run = await place.wait_for_end(run_id)
    assert (run["status"], run["iteration"], run["phase"]) == ("finished", 2, "trained")
    start, first, second = (await place.get(f"/v1/runs/{run_id}/iterations"))["data"]
    assert set(start["seconds"]) == {"pretraining", "evaluating"}
    assert (start["tuning_pool"], start["difficult"], first["tuning_pool"]) == (None, None, 12)
    assert first["accepted"] == second["tuning_pool"] == second["cache_pool"] - 12
    assert (second["difficult"], second["unjudged"], second["mean_difficulty"]) == (None, None, None)
    assert None not in {one["heldout_accuracy"] for one in (start, first, second)}
    assert first["difficult"] == first["easy"] or first["difficult"] > first["easy"]
    assert place.trainer.owner is None  # the lease is given back

    for _ in range(2):
        more = await place.post(f"/v1/runs/{run_id}/iterations", {"count": 1}, **{"idempotency-key": "more"})
        assert more["target"] == 3
    run = await place.wait_for_end(run_id)
    second = await place.get(f"/v1/runs/{run_id}/iterations/2")
    assert (run["iteration"], run["phase"], second["phase"]) == (3, "trained", "complete")
    assert second["difficult"] is not None
    await check_views(place, run_id)
    await check_training_data(place, run_id)


async def check_views(place: Town, run_id: str) -> None:
    report = await place.get(f"/v1/runs/{run_id}/report", examples=3)
    assert [one["number"] for one in report["iterations"]] == [0, 1, 2, 3]
    assert report["start_accuracy"] == report["iterations"][0]["heldout_accuracy"]
    assert report["final_accuracy"] == report["iterations"][3]["heldout_accuracy"]
    assert sum(report["iterations"][1]["score_histogram"]["student"]) == 12
    assert sum(report["iterations"][1]["difficulty_histogram"]) == 12
    for example in report["examples"]:
        assert {"instruction", "kind", "teacher_answer", "student_before", "new_question"} <= example.keys()
        assert [run["order"] for run in example["runs"]] == ["teacher_first", "student_first"]
        picture = await place.http.get(f"/v1/images/{example['image']}")
        assert picture.headers["content-type"] == "image/png"
    pages, cursor = [], None
    while True:
        page = await place.get(
            f"/v1/runs/{run_id}/pools/cache", limit=5, **({"cursor": cursor} if cursor else {})
        )
        pages += page["data"]
        if (cursor := page["next_cursor"]) is None:
            break
    assert len({one["id"] for one in pages}) == len(pages) == report["iterations"][3]["cache_pool"]
    born = next(one for one in pages if one["origin"] == "augmented")
    life = await place.get(f"/v1/runs/{run_id}/instructions/{born['id']}")
    assert life["ancestry"][0]["id"] == life["parent"] == born["parent"]
    assert life["answers"][0]["role"] == "teacher"
    for form, turns in (("openai", "messages"), ("llava", "conversations")):
        exported = await place.http.get(f"/v1/runs/{run_id}/pools/cache/export", params={"format": form})
        text = exported.text
        lines = orjson.loads(text) if form == "llava" else [orjson.loads(line) for line in text.splitlines()]
        assert sum(len(line[turns]) // 2 for line in lines) == len(pages)
    events = (await place.http.get(f"/v1/runs/{run_id}/events")).text
    assert events.startswith("event: run\ndata: {")
    assert orjson.loads(events.split("data: ")[1])["status"] == "finished"


async def check_training_data(place: Town, run_id: str) -> None:
    """One line an image; the chain of models; the file of each iteration holds its tuning pool alone."""
    jobs = list(place.trainer.jobs.values())
    assert [job["asked"]["stage"] for job in jobs] == ["pretrain", "tune", "tune", "tune"]
    assert [job["asked"]["model"] for job in jobs] == ["base", *(job["fine_tuned_model"] for job in jobs[:3])]
    lines = [
        orjson.loads(line) for line in place.trainer.files[jobs[1]["asked"]["training_file"]].splitlines()
    ]
    assert len(lines) == 6
    assert all(len(line["messages"]) == 4 for line in lines)
    assert jobs[0]["asked"]["hyperparameters"]["learning_rate"] == 2e-3
    assert jobs[1]["asked"]["hyperparameters"] == {
        "n_epochs": 1,
        "batch_size": 16,
        "learning_rate": 2e-5,
        "warmup_ratio": 0.03,
        "max_length": 2048,
    }
    told = {"run": run_id, "run_name": "run"}
    assert jobs[0]["asked"]["metadata"] == {**told, "iteration": "0", "dataset": "captions"}
    pools = {"dataset": "world", "tuning_pool": "12", "cache_pool": "12"}
    assert jobs[1]["asked"]["metadata"] == {**told, "iteration": "1", **pools}
    assert int(jobs[2]["asked"]["metadata"]["cache_pool"]) > 12


async def test_paused_runs_stand_still_and_go_on(place: Town) -> None:
    await place.set_faults({"kind": "slow", "seconds": 0.3, "role": "teacher"})
    run_id = await place.begin(trainings=1)
    await place.wait(run_id, lambda run: run["phase"] == "teaching")
    assert (await place.post(f"/v1/runs/{run_id}/pause"))["status"] == "paused"
    refused = await place.http.post(f"/v1/runs/{run_id}/iterations", json={"count": 0})
    assert refused.status_code == 422
    await place.post(f"/v1/runs/{run_id}/resume")
    assert (await place.wait_for_end(run_id))["status"] == "finished"


async def test_an_engine_that_is_down_is_waited_for_visibly(place: Town) -> None:
    await place.set_faults({"kind": "503", "role": "teacher", "retry_after": 0.1})
    run_id = await place.begin(trainings=1)
    run = await place.wait(run_id, lambda run: bool(run["progress"].get("waiting")))
    assert "503" in run["progress"]["waiting"]
    assert run["progress"]["done"] == 0
    await place.set_faults()
    assert (await place.wait_for_end(run_id))["status"] == "finished"


async def test_a_failed_job_fails_the_run_and_can_be_tried_again(place: Town) -> None:
    place.trainer.failing.append("out of memory")
    run_id = await place.begin(trainings=1)
    run = await place.wait_for_end(run_id)
    assert (run["status"], "out of memory" in run["reason"]) == ("failed", True)
    await place.post(f"/v1/runs/{run_id}/resume")
    run = await place.wait_for_end(run_id)
    assert (run["status"], run["reason"]) == ("finished", None)
    assert len(place.trainer.jobs) == 2


async def test_nothing_difficult_exhausts_the_run(place: Town) -> None:
    run_id = await place.begin(trainings=2, tau=1.0)
    run = await place.wait_for_end(run_id)
    iteration = await place.get(f"/v1/runs/{run_id}/iterations/1")
    if run["status"] == "exhausted":
        assert "nothing was selected" in run["reason"]
        assert (iteration["difficult"], iteration["accepted"]) == (0, None)
    else:  # a teacher's error can be difficult to the full
        assert iteration["difficult"] > 0


async def test_two_runs_share_answers_and_take_turns_at_the_trainer(place: Town) -> None:
    first = await place.begin(trainings=1)
    run = await place.post("/v1/runs", {"name": "second", "dataset": "world", "config": {"trainings": 1}})
    await place.post(f"/v1/runs/{run['id']}/iterations", {})
    for run_id in (first, run["id"]):
        assert (await place.wait_for_end(run_id))["status"] == "finished"
    calls: Any = (await place.http.get(f"{place.engine_url}/scripted/calls")).json()
    assert calls["by_role"]["teacher"] <= 2 * 12


async def test_cancelling_gives_the_trainer_back(place: Town) -> None:
    await place.set_faults({"kind": "slow", "seconds": 0.5, "role": "student"})
    run_id = await place.begin(trainings=1, evaluation={"dataset": "heldout"})
    await place.wait(run_id, lambda run: run["phase"] == "evaluating")
    await place.wait(run_id, lambda run: run["holds_lease"])
    await place.post(f"/v1/runs/{run_id}/cancel")
    await place.wait(run_id, lambda run: not run["holds_lease"])
    assert place.trainer.owner is None
    assert (await place.http.post(f"/v1/runs/{run_id}/resume")).status_code == 409
