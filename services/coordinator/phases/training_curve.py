"""A training's curve, kept while the job runs. In: the job as it is now. Out: its new points in Postgres.

What is known is the last kept point alone, so a restart loses nothing. A trainer that has no events (another
OpenAI-compatible one) costs the run its curve and nothing else.
"""

import asyncio
import time
from collections.abc import Sequence

from services.coordinator.outgoing import ItemFailed, Unreadable, Waiting
from services.coordinator.phases.drive import Drive
from services.coordinator.repositories import training_points
from services.coordinator.training_events import Point, behind
from shared import logs
from shared.types import JsonObject

LOOK_S = 2.0
REFUSED_FOR_S = 600.0  # a trainer without events is not asked again before
AWAY_FOR_S = 30.0
TIMEOUT_S = 10.0
FEWEST, MOST = 20, 1000  # events of a page
MOST_PAGES = 200
OVER = {"succeeded", "failed", "cancelled"}

log = logs.get(__name__)


async def keep_curve(drive: Drive, number: int, job: JsonObject) -> None:
    """Keep what is new; once more when the job is over, however short ago the last look was."""
    status = job.get("status")
    now = time.monotonic()
    if status == "queued" or (now < drive.curve_due and (drive.curve_refused or status not in OVER)):
        return
    drive.curve_due, drive.curve_refused = now + LOOK_S, False
    async with drive.office.leader.reader.connect() as c:
        known = await training_points.newest(c, drive.run_id, number)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            points = behind(known, await _newest_first(drive, job, known))
    except (ItemFailed, Unreadable, Waiting, TimeoutError) as error:
        drive.curve_refused = isinstance(error, ItemFailed | Unreadable)
        drive.curve_due = now + (REFUSED_FOR_S if drive.curve_refused else AWAY_FOR_S)
        log.warning("no_training_events", run_id=drive.run_id, iteration=number, reason=str(error)[:300])
        return
    if points:
        async with drive.office.leader.transaction() as c:
            await training_points.go_on(c, drive.run_id, number, points)


async def _newest_first(drive: Drive, job: JsonObject, known: Point | None) -> list[Point]:
    """The job's points back to the known one: as a rule one page, not much longer than what is new."""
    found: list[Point] = []
    after, limit = None, _first_page(job, known)
    for _ in range(MOST_PAGES):
        page = await drive.office.trainer.events(job["id"], after, limit)
        events = _objects(page)
        points = [point for event in events if (point := Point.of_event(event)) is not None]
        found += points
        if known in points or not events or not page.get("has_more"):
            break
        after, limit = str(events[-1].get("id")), MOST
    return found


def _first_page(job: JsonObject, known: Point | None) -> int:
    """As many events as the job has taken steps since, and a few that say other things."""
    step = (job.get("metrics") or {}).get("step")
    new = step - (known.step if known else 0) if isinstance(step, int) else MOST
    return min(max(new + FEWEST // 2, FEWEST), MOST)


def _objects(page: JsonObject) -> Sequence[JsonObject]:
    data = page.get("data")
    return [event for event in data if isinstance(event, dict)] if isinstance(data, list) else []
