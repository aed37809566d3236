"""A job's events, by pages and as a stream. In: the job, and an event that the client has. Out: a page, or
server-sent events.
"""

import asyncio
import time
from collections.abc import AsyncIterator

import orjson
from prometheus_client import Gauge

from services.trainer.api.pages import listed
from services.trainer.jobs import Jobs, parsed
from shared.errors import BadRequest
from shared.types import JsonObject

POLL_S = 0.25
HEARTBEAT_S = 15.0  # proxies close a connection that is silent for a minute
streams = Gauge("comd_trainer_event_streams", "Clients that follow a job's events just now")


async def event_stream(
    jobs: Jobs, job_id: str, last_id: str | None = None, heartbeat_s: float = HEARTBEAT_S
) -> AsyncIterator[bytes]:
    """All events behind `last_id`, and then as they come, until the job is over. All of them, where it is unknown."""
    with streams.track_inprogress():
        offset, spoken_at = 0, time.monotonic()
        while True:
            over = jobs.get(job_id).over
            events, end = jobs.events_from(job_id, offset)
            for event in _behind(events, last_id) if offset == 0 else events:
                yield b"id: " + event["id"].encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"
                spoken_at = time.monotonic()
            offset = end
            if over:
                yield b"data: [DONE]\n\n"
                return
            if time.monotonic() - spoken_at >= heartbeat_s:
                yield b": the job goes on\n\n"
                spoken_at = time.monotonic()
            await asyncio.sleep(POLL_S)


def events_page(jobs: Jobs, job_id: str, after: str | None, limit: int) -> JsonObject:
    """The newest first. A long job has tens of thousands: those outside of the page are not parsed."""
    lines = jobs.event_lines(job_id)
    start = 0 if after is None else _line_of(lines, after) + 1
    chosen = [event for line in lines[start : start + limit] if (event := parsed(line)) is not None]
    return listed(chosen, has_more=start + limit < len(lines))


def _line_of(lines: list[bytes], event_id: str) -> int:
    wanted = b'"id":' + orjson.dumps(event_id)
    for at, line in enumerate(lines):
        if wanted in line:
            return at
    raise BadRequest(f"after: no item {event_id[:60]!r} in this list", param="after")


def _behind(events: list[JsonObject], last_id: str | None) -> list[JsonObject]:
    names = [event["id"] for event in events]
    return events[names.index(last_id) + 1 :] if last_id in names else events
