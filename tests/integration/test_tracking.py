"""Tracking by the leader: every metric once through failures and restarts, and never in the run's way."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.coordinator.database import connect
from services.coordinator.leadership import Leader, leadership
from services.coordinator.repositories.rows import execute, fetch
from services.coordinator.tracking.delivery import DeliveryFailed
from services.coordinator.tracking.trackers import Shipment
from services.coordinator.tracking.tracking import track
from tests.doubles.town import Town, town
from tests.integration.builders import RUN, make_run

SECRET_URL = "https://user:hidden@tracker/"


class Tracker:
    """A double that keeps what it is sent; `behave` is asked first, and may raise or wait."""

    def __init__(self, behave: Callable[[int], Awaitable[None]] | None = None):
        self.sent: list[Shipment] = []
        self.num_calls = 0
        self._behave = behave

    async def deliver(self, tracker: str, shipment: Shipment) -> None:
        self.num_calls += 1
        if self._behave is not None:
            await self._behave(self.num_calls)
        self.sent.append(shipment)

    @property
    def series(self) -> list[tuple[int, str, float]]:
        """Without what came twice in one and the same shipment, which every adapter leaves out."""
        unique = {one["number"]: one for one in self.sent}
        return [
            (record["step"], name, value)
            for one in unique.values()
            for record in one["records"]
            for name, value in record["metrics"].items()
        ]


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = connect(postgres_url)
    async with engine.begin() as c:
        await make_run(c, phase="assessing", tracking=["mlflow"])
        await execute(c, "UPDATE iterations SET train_loss = 0.5, heldout_accuracy = 0.25")
    yield engine
    await engine.dispose()


@contextlib.asynccontextmanager
async def tracking(engine: AsyncEngine, tracker: Tracker) -> AsyncIterator[Leader]:
    async with leadership(engine) as (leader, _):
        task = asyncio.create_task(track(leader, tracker.deliver, look_s=0.02, first_pause_s=0.02))
        yield leader
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not found():
            await asyncio.sleep(0.01)


async def rows(engine: AsyncEngine, query: str) -> list[dict[str, Any]]:
    async with engine.connect() as c:
        return await fetch(c, query)


async def finish(engine: AsyncEngine) -> None:
    async with engine.begin() as c:
        await execute(c, "UPDATE iterations SET phase = 'complete', difficult = 3")
        await execute(c, "UPDATE runs SET status = 'finished'")


async def marked(engine: AsyncEngine, number: int) -> None:
    async with asyncio.timeout(20):
        while not await rows(
            engine, f"SELECT 1 FROM shipments WHERE number = {number} AND sent_at IS NOT NULL"
        ):
            await asyncio.sleep(0.01)


async def test_metrics_are_sent_once_as_they_come_and_the_end_last(engine: AsyncEngine) -> None:
    tracker = Tracker()
    async with tracking(engine, tracker):
        await marked(engine, 1)
        await finish(engine)
        await until(lambda: tracker.sent[-1]["status"] == "finished")
        await asyncio.sleep(0.2)  # time for another look, which finds nothing
    assert tracker.series == [
        (1, "train_loss", 0.5),
        (1, "heldout_accuracy", 0.25),
        (1, "selection/difficult", 3.0),
    ]
    statuses = [one["status"] for one in tracker.sent]
    assert set(statuses[:-1]) == {
        "running"
    }  # a look in the middle of the end sends the metrics before the status
    assert statuses[-1] == "finished"
    assert len({one["number"] for one in tracker.sent}) == len(statuses)
    assert tracker.sent[0]["parameters"]["run/id"] == RUN


async def test_a_coordinator_that_ends_between_sending_and_marking_sends_the_same_shipment_again(
    engine: AsyncEngine,
) -> None:
    never = asyncio.Event()
    tracker = Tracker()

    async def deliver_and_hang(name: str, shipment: Shipment) -> None:
        tracker.sent.append(shipment)
        await never.wait()

    first = Tracker()
    first.deliver = deliver_and_hang  # type: ignore[method-assign]
    async with tracking(engine, first):
        await until(lambda: len(tracker.sent) == 1)
    await finish(engine)  # meanwhile there is more to tell
    async with tracking(engine, tracker):
        await marked(engine, 2)
    assert [one["number"] for one in tracker.sent] == [1, 1, 2]
    assert tracker.sent[0]["records"] == tracker.sent[1]["records"]
    assert tracker.sent[0]["at_ms"] == tracker.sent[1]["at_ms"]
    assert len(tracker.series) == len(set(tracker.series)) == 3


async def test_a_tracker_that_fails_is_told_of_once_and_tried_until_it_works(engine: AsyncEngine) -> None:
    async def fails_thrice(call: int) -> None:
        if call <= 3:
            raise DeliveryFailed(f"{SECRET_URL} is away")

    tracker = Tracker(fails_thrice)
    async with tracking(engine, tracker):
        await marked(engine, 1)
    assert tracker.num_calls == 4
    logged = await rows(
        engine, "SELECT action, cause, detail FROM event_log WHERE action LIKE 'tracking%' ORDER BY id"
    )
    assert [entry["action"] for entry in logged] == ["tracking_failed", "tracking_recovered"]
    assert logged[0]["cause"] == "https://***@tracker/ is away"
    assert len(tracker.series) == 2


async def test_a_defect_of_ours_stays_within_tracking(engine: AsyncEngine) -> None:
    async def breaks(_: int) -> None:
        raise RuntimeError("a defect")

    async with tracking(engine, Tracker(breaks)) as leader:
        await asyncio.sleep(0.1)
        async with leader.transaction() as c:  # the leader still leads
            await execute(c, "SELECT 1")


async def test_who_does_not_lead_any_more_marks_nothing(engine: AsyncEngine) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def waits(_: int) -> None:
        entered.set()
        await go_on.wait()

    async with tracking(engine, Tracker(waits)):
        await entered.wait()
        async with engine.begin() as c:
            await execute(c, "UPDATE leadership SET epoch = epoch + 1")
        go_on.set()
        await asyncio.sleep(0.1)
        assert await rows(engine, "SELECT 1 FROM shipments WHERE sent_at IS NOT NULL") == []


@pytest.fixture
async def place(
    tmp_path: Path, postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Town]:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")
    async with town(tmp_path, postgres_url, redis_url, num_pictures=3) as place:
        yield place


async def test_a_run_is_tracked_and_a_broken_tracker_is_a_warning_and_no_more(
    place: Town, tmp_path: Path
) -> None:
    run_id = await place.begin(trainings=1, evaluation={"dataset": "heldout"}, tracking=["trackio", "mlflow"])
    assert (await place.wait_for_end(run_id))["status"] == "finished"
    engine = connect(place.settings.database_url)
    query = "SELECT 1 FROM shipments WHERE {} AND content->>'status' = 'finished' AND tracker = '{}'"
    async with asyncio.timeout(40):
        while not (
            await rows(engine, query.format("sent_at IS NOT NULL", "trackio"))
            and await rows(engine, "SELECT 1 FROM shipments WHERE attempts > 0 AND tracker = 'mlflow'")
        ):
            await asyncio.sleep(0.1)
    await engine.dispose()
    assert (tmp_path / "trackio" / "comd.db").exists()
    [warning] = (await place.get(f"/v1/runs/{run_id}/report"))["warnings"]
    assert warning.startswith(
        "metrics do not arrive at mlflow (1 attempt so far, it is tried again): mlflow: "
    )
    actions = [entry["action"] for entry in (await place.get(f"/v1/runs/{run_id}/log"))["data"]]
    assert actions.count("tracking_failed") == 1


async def test_an_unknown_tracker_is_refused_with_those_there_are(place: Town) -> None:
    await place.register()
    body = {"name": "r", "dataset": "world", "config": {"tracking": ["tensorboard"]}}
    reply: httpx.Response = await place.http.post("/v1/runs", json=body)
    assert reply.status_code == 422
    assert "'trackio', 'mlflow' or 'wandb'" in reply.json()["error"]["message"]
