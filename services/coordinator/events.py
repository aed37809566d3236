"""A run's progress as server-sent events. In: a run's id. Out: an event whenever something has changed."""

import asyncio
import time
from collections.abc import AsyncIterator

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from services.coordinator.repositories import iterations, runs
from shared.types import JsonObject

LOOK_S = 0.5
SIGN_OF_LIFE_S = 10.0
ENDS = {"finished", "exhausted", "cancelled", "failed"}


async def follow(engine: AsyncEngine, run_id: str) -> AsyncIterator[bytes]:
    """Events named `run` until the run has come to its end; comments in between keep the connection alive."""
    last, sent_at = b"", 0.0
    while True:
        state = await _state(engine, run_id)
        data = orjson.dumps(state)
        if data != last:
            yield b"event: run\ndata: " + data + b"\n\n"
            last, sent_at = data, time.monotonic()
        elif time.monotonic() - sent_at > SIGN_OF_LIFE_S:
            yield b": still here\n\n"
            sent_at = time.monotonic()
        if state["status"] in ENDS:
            return
        await asyncio.sleep(LOOK_S)


async def _state(engine: AsyncEngine, run_id: str) -> JsonObject:
    async with engine.connect() as c:
        run = await runs.get(c, run_id)
        rows = await iterations.everything(c, run_id)
    assert run is not None, "a run is never deleted"
    state = {key: run[key] for key in ("id", "name", "status", "target", "progress", "reason")}
    return {**state, "iterations": [_short(row) for row in rows]}


def _short(row: JsonObject) -> JsonObject:
    left_out = {"judge", "training", "phase_started_at", "created_at", "job_id"}
    return {key: value for key, value in row.items() if key not in left_out}
