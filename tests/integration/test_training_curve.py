"""A training's curve from the trainer's events into Postgres, REST and the run's page: whole, live, once."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.coordinator.clients import Services
from services.coordinator.database import connect
from services.coordinator.leadership import Leader, LeadershipLost
from services.coordinator.outgoing import Http
from services.coordinator.phases.drive import Drive, Office
from services.coordinator.phases.training_curve import MOST, keep_curve
from services.coordinator.queue import Queue
from services.coordinator.repositories import training_points
from services.coordinator.repositories.rows import execute
from services.coordinator.settings import CoordinatorSettings
from services.coordinator.trainer import Trainer
from tests.doubles.stub_trainer import QUICK_STEPS, StubTrainer, create_stub_app, event, say_step
from tests.doubles.town import KEYS, Town, town
from tests.integration.builders import RUN, make_run
from tests.loopback import serving

FULL = {"trainings": 1, "pretraining": {"dataset": "captions"}}
JOB = "ftjob-1"


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Town]:
    async with town(tmp_path, postgres_url, redis_url, num_pictures=3) as place:
        yield place


async def test_a_run_keeps_the_curve_of_every_training(place: Town) -> None:
    run_id = await place.begin(**FULL)
    await place.wait_for_end(run_id)
    for number in (0, 1):
        curve = await place.get(f"/v1/runs/{run_id}/iterations/{number}/curve")
        assert curve["object"] == "list"
        assert [point["step"] for point in curve["data"]] == list(range(1, QUICK_STEPS + 1))
        assert curve["data"][1] == {"step": 2, "loss": 0.666667, "learning_rate": 1e-5}
    assert (await place.http.get(f"/v1/runs/{run_id}/iterations/7/curve")).status_code == 404
    assert (await place.http.get("/v1/runs/none/iterations/0/curve")).status_code == 404
    page = (await place.http.get(f"/runs/{run_id}/training", headers={"accept": "text/html"})).text
    assert "stage 1: 3 steps, from 1 to 0.5; iteration 1: 3 steps, from 1 to 0.5" in page
    assert "every 3s" not in page  # the run is over
    child = await place.post(f"/v1/runs/{run_id}/branch", {"iteration": 1, "name": "child"})
    same = [await place.get(f"/v1/runs/{run}/iterations/1/curve") for run in (run_id, child["id"])]
    assert same[0] == same[1]


async def test_a_job_that_failed_leaves_no_points_in_the_curve_of_the_next(place: Town) -> None:
    place.trainer.failing.append("out of memory")
    run_id = await place.begin(trainings=1)
    assert (await place.wait_for_end(run_id))["status"] == "failed"
    engine = connect(place.settings.database_url)
    async with engine.begin() as c:
        await execute(c, f"INSERT INTO training_points VALUES ('{run_id}', 1, 900, 7.0, NULL)")
    await engine.dispose()
    place.trainer.says_steps = False
    await place.post(f"/v1/runs/{run_id}/resume")
    assert (await place.wait_for_end(run_id))["status"] == "finished"
    assert (await place.get(f"/v1/runs/{run_id}/iterations/1/curve"))["data"] == []


class Desk:
    """A run in training, a trainer whose job's events a test writes, and a leader that looks at it."""

    def __init__(self, office: Office, job: dict[str, Any]):
        self.office, self.job = office, job

    async def look(self) -> None:
        """As a leader that has just begun."""
        await keep_curve(Drive(self.office, RUN), 1, self.job)

    async def kept(self) -> list[tuple[int, float]]:
        async with self.office.leader.engine.connect() as c:
            return [(row["step"], row["loss"]) for row in await training_points.curve(c, RUN, 1)]

    def train(self, *steps: int) -> None:
        for step in steps:
            say_step(self.job, step)
            self.job["metrics"]["step"] = step


@pytest.fixture
async def desk(tmp_path: Path, postgres_url: str, redis_url: str) -> AsyncIterator[Desk]:
    stub = StubTrainer("http://127.0.0.1:1")
    # paused, so that the stub takes no steps of its own
    stub.jobs[JOB] = {"id": JOB, "status": "paused", "metrics": {}, "events": [event(JOB, 0, "Created")]}
    http, engine = Http(KEYS, 30), connect(postgres_url)
    with serving(create_stub_app(stub, KEYS, str(tmp_path))) as url:
        settings = CoordinatorSettings(
            database_url=postgres_url, redis_url=redis_url, image_store=str(tmp_path), trainer_url=url
        )
        async with engine.begin() as c:
            await make_run(c, phase="training")
            await execute(c, "INSERT INTO leadership (id, epoch) VALUES (1, 1)")
        queue = Queue(redis_url, "unused")
        office = Office(Leader(engine, 1), queue, Services(http, settings), Trainer(http, url), settings)
        yield Desk(office, stub.jobs[JOB])
        await queue.close()
    await http.close()
    await engine.dispose()


async def test_each_look_keeps_what_is_new_however_many_pages_it_takes(desk: Desk) -> None:
    await desk.look()
    assert await desk.kept() == []
    desk.train(*range(1, 4))
    await desk.look()
    await desk.look()
    assert [step for step, _ in await desk.kept()] == [1, 2, 3]
    num = 2 * MOST + 7
    desk.train(*range(4, num + 1))
    await desk.look()
    assert [step for step, _ in await desk.kept()] == list(range(1, num + 1))


async def test_steps_that_were_taken_back_are_replaced(desk: Desk) -> None:
    desk.train(*range(1, 31))
    await desk.look()
    desk.job["events"].append(event(JOB, 1000, "Job queued"))
    for step in range(21, 26):
        desk.job["events"].append(event(JOB, 1000 + step, "Step", {"step": step, "loss": 9.0}))
    desk.job["metrics"]["step"] = 25
    await desk.look()
    kept = await desk.kept()
    assert [step for step, _ in kept] == list(range(1, 26))
    assert [loss for _, loss in kept[19:]] == [pytest.approx(2 / 21, abs=1e-5), *[9.0] * 5]


async def test_a_leader_whose_time_is_over_writes_nothing(desk: Desk) -> None:
    desk.train(1)
    async with desk.office.leader.engine.begin() as c:
        await execute(c, "UPDATE leadership SET epoch = 2")
    with pytest.raises(LeadershipLost):
        await desk.look()
    assert await desk.kept() == []


async def test_a_trainer_without_events_is_asked_once_and_does_no_harm(desk: Desk) -> None:
    drive = Drive(desk.office, RUN)
    await keep_curve(drive, 1, {"id": "ftjob-of-another", "status": "running"})
    assert drive.curve_refused
    desk.train(1)
    await keep_curve(drive, 1, {**desk.job, "status": "succeeded"})
    assert await desk.kept() == []  # it is not asked again so soon, not even at the job's end


async def test_a_look_is_due_every_two_seconds_and_at_the_end(desk: Desk) -> None:
    drive = Drive(desk.office, RUN)
    desk.train(1)
    await keep_curve(drive, 1, desk.job)
    desk.train(2)
    await keep_curve(drive, 1, desk.job)
    assert [step for step, _ in await desk.kept()] == [1]
    await keep_curve(drive, 1, {**desk.job, "status": "succeeded"})
    assert [step for step, _ in await desk.kept()] == [1, 2]
