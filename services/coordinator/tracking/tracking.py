"""Sends the metrics of runs to the trackers that they name. Only the leader does.

In: runs and iterations in Postgres. Out: shipments, each written down, sent by a process of its own, and marked.
A tracker that is down, slow or broken holds up nobody: it is tried again, ever more rarely.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from services.coordinator.cancellation import end_if_cancelled
from services.coordinator.leadership import Leader, LeadershipLost
from services.coordinator.repositories import iterations, runs, usage
from services.coordinator.repositories import tracking as shipments
from services.coordinator.tracking import series
from services.coordinator.tracking.delivery import DeliveryFailed, deliver
from services.coordinator.tracking.trackers import Record, Shipment
from shared import logs
from shared.masking import mask
from shared.types import JsonObject

LOOK_S = 1.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 600.0

Deliver = Callable[[str, Shipment], Awaitable[None]]

log = logs.get(__name__)


@dataclass
class _Tracking:
    """One leader's. A tracker is sent one shipment at a time, so that a hanging one costs one process."""

    leader: Leader
    deliver: Deliver
    first_pause_s: float
    turns: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))


async def track(
    leader: Leader,
    send: Deliver = deliver,
    look_s: float = LOOK_S,
    first_pause_s: float = FIRST_PAUSE_S,
) -> None:
    """For ever: a task for every run and tracker that lacks something. What goes wrong here stays here."""
    tracking = _Tracking(leader, send, first_pause_s)
    async with asyncio.TaskGroup() as group:
        working: dict[tuple[str, str], asyncio.Task[None]] = {}
        while True:
            for place in await _due(leader):
                if place not in working or working[place].done():
                    working[place] = group.create_task(_serve(tracking, *place))
            working = {place: task for place, task in working.items() if not task.done()}
            await asyncio.sleep(look_s)


async def _due(leader: Leader) -> list[tuple[str, str]]:
    try:
        async with leader.reader.connect() as c:
            return [(row["run_id"], row["tracker"]) for row in await shipments.due(c)]
    except SQLAlchemyError as error:
        log.warning("tracking_waits", reason=str(error)[:300])
        end_if_cancelled()
        return []


async def _serve(tracking: _Tracking, run_id: str, tracker: str) -> None:
    """Send what one tracker lacks of one run."""
    try:
        while (shipment := await _next(tracking.leader, run_id, tracker)) is not None:
            await _send(tracking, tracker, shipment)
    except (SQLAlchemyError, LeadershipLost) as error:
        log.warning("tracking_waits", run_id=run_id, tracker=tracker, reason=str(error)[:300])
        end_if_cancelled()
    except Exception as unexpected:
        log.error("tracking_broke", run_id=run_id, tracker=tracker, exc_info=unexpected)
        await asyncio.sleep(LONGEST_PAUSE_S)


async def _next(leader: Leader, run_id: str, tracker: str) -> Shipment | None:
    """The shipment that waits, else a new one of what was not sent; None where there is nothing to tell."""
    async with leader.transaction() as c:
        known = await shipments.shipments(c, run_id, tracker)
        run, rows = await runs.get(c, run_id), await iterations.everything(c, run_id)
        assert run is not None, "a run is never deleted"
        if not known or known[-1]["sent"]:
            content = _content(run, rows, await usage.totals(c, run_id), known)
            if content is None:
                return None
            number = known[-1]["number"] + 1 if known else 1
            await shipments.pack(c, run_id, tracker, number, content)
            known = await shipments.shipments(c, run_id, tracker)
    last = known[-1]
    content = last["content"]
    return Shipment(
        run_id=run_id,
        name=run["name"],
        number=last["number"],
        at_ms=last["at_ms"],
        parameters=series.parameters(run, rows),
        records=content["records"],
        status=content["status"],
    )


def _content(
    run: JsonObject, rows: list[JsonObject], used: list[JsonObject], known: list[JsonObject]
) -> JsonObject | None:
    """Records that are new, or the run's end."""
    sent: list[Record] = [record for one in known for record in one["content"]["records"]]
    left = series.unsent(series.records(run, rows, used), sent)
    told = known[-1]["content"]["status"] if known else None
    if not left and (run["status"] not in series.ENDS or run["status"] == told):
        return None
    return {"records": left, "status": run["status"]}


async def _send(tracking: _Tracking, tracker: str, shipment: Shipment) -> None:
    """Once; after a failure the pause before the next attempt is part of it."""
    run_id, number = shipment["run_id"], shipment["number"]
    try:
        async with tracking.turns[tracker]:
            await tracking.deliver(tracker, shipment)
    except DeliveryFailed as failure:
        cause = mask(failure.message)
        log.warning("tracking_failed", run_id=run_id, tracker=tracker, reason=cause)
        async with tracking.leader.transaction() as c:
            attempts = await shipments.mark_failed(c, run_id, tracker, number, cause)
        await asyncio.sleep(min(tracking.first_pause_s * 2 ** min(attempts - 1, 20), LONGEST_PAUSE_S))
        return
    async with tracking.leader.transaction() as c:
        await shipments.mark_sent(c, run_id, tracker, number)
