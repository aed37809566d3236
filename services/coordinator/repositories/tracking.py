"""Queries on what a run's trackers were sent, and on what waits to be sent.

A shipment is written before it is sent and marked afterwards, so that a restart sends the same one again.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.database import to_json
from services.coordinator.repositories import event_log, runs
from services.coordinator.repositories.rows import execute, fetch, fetch_one
from services.coordinator.repositories.runs import SYSTEM
from shared.types import JsonObject

PLACE = "run_id = :run_id AND tracker = :tracker"


async def due(c: AsyncConnection) -> list[JsonObject]:
    """Runs and their trackers, of those that have begun, until the last shipment has told the run's end."""
    return await fetch(
        c,
        """
        SELECT runs.id AS run_id, named.tracker
        FROM runs, jsonb_array_elements_text(runs.config->'tracking') named(tracker)
        WHERE runs.status <> 'created' AND (runs.status IN ('running', 'paused') OR NOT EXISTS (
            SELECT FROM shipments s WHERE s.run_id = runs.id AND s.tracker = named.tracker
                AND s.sent_at IS NOT NULL AND s.content->>'status' = runs.status
                AND NOT EXISTS (SELECT FROM shipments later WHERE later.run_id = s.run_id
                    AND later.tracker = s.tracker AND later.number > s.number)))
        ORDER BY runs.created_at, runs.id, named.tracker
        """,
    )


async def shipments(c: AsyncConnection, run_id: str, tracker: str) -> list[JsonObject]:
    """All of them, the oldest first."""
    return await fetch(
        c,
        f"""
        SELECT number, content, attempts, sent_at IS NOT NULL AS sent,
            CAST(extract(epoch FROM created_at) * 1000 AS bigint) AS at_ms
        FROM shipments WHERE {PLACE} ORDER BY number
        """,
        run_id=run_id,
        tracker=tracker,
    )


async def pack(c: AsyncConnection, run_id: str, tracker: str, number: int, content: JsonObject) -> None:
    await execute(
        c,
        """
        INSERT INTO shipments (run_id, tracker, number, content)
        VALUES (:run_id, :tracker, :number, CAST(:content AS jsonb)) ON CONFLICT DO NOTHING
        """,
        run_id=run_id,
        tracker=tracker,
        number=number,
        content=to_json(content),
    )


async def mark_sent(c: AsyncConnection, run_id: str, tracker: str, number: int) -> None:
    """It arrived; the log says so where it had failed before."""
    await runs.hold(c, run_id)
    row = await fetch_one(
        c,
        f"""
        UPDATE shipments SET sent_at = now(), error = NULL
        WHERE {PLACE} AND number = :number AND sent_at IS NULL RETURNING attempts
        """,
        run_id=run_id,
        tracker=tracker,
        number=number,
    )
    if row is not None and row["attempts"]:
        await event_log.record(c, run_id, "tracking_recovered", SYSTEM, tracker=tracker, **row)


async def mark_failed(c: AsyncConnection, run_id: str, tracker: str, number: int, cause: str) -> int:
    """The number of its failed attempts; the log has the first of them."""
    await runs.hold(c, run_id)
    row = await fetch_one(
        c,
        f"""
        UPDATE shipments SET attempts = attempts + 1, error = :cause
        WHERE {PLACE} AND number = :number RETURNING attempts
        """,
        run_id=run_id,
        tracker=tracker,
        number=number,
        cause=cause,
    )
    assert row is not None, "a shipment is never deleted"
    if row["attempts"] == 1:
        await event_log.record(c, run_id, "tracking_failed", cause, tracker=tracker)
    return int(row["attempts"])


async def stuck(c: AsyncConnection, run_id: str) -> list[JsonObject]:
    """Trackers that do not take what they are sent, with the cause."""
    return await fetch(
        c,
        """
        SELECT tracker, attempts, error FROM shipments
        WHERE run_id = :run_id AND sent_at IS NULL AND attempts > 0 ORDER BY tracker
        """,
        run_id=run_id,
    )
