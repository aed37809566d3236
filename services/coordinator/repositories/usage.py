"""Queries on what calls used and cost: written with their sums, read by role and iteration."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.database import to_json
from services.coordinator.repositories.rows import execute, fetch
from shared.types import JsonObject

SUMMED = ("items", "calls", "prompt_tokens", "cached_tokens", "completion_tokens", "seconds", "cost_nanos")
KEY = ("run_id", "iteration", "phase", "image", "attempt", "number")
COLUMNS = ", ".join((*KEY, "role", "model_revision", *SUMMED))
# Only rows that are new add to the sums, so that a repeated transaction changes nothing. The sums of a role are
# one row that all workers write, in the order of its key; the statement comes last in their transactions, so
# that the row is locked for no longer than the commit takes.
RECORD = f"""
    WITH new AS (
        INSERT INTO calls ({COLUMNS})
        SELECT {COLUMNS} FROM json_populate_recordset(NULL::calls, CAST(:rows AS json))
        ON CONFLICT DO NOTHING RETURNING *
    )
    INSERT INTO usage_totals AS t (run_id, iteration, role, {", ".join(SUMMED)})
    SELECT run_id, iteration, role, {", ".join(f"sum({name})" for name in SUMMED)}
    FROM new GROUP BY run_id, iteration, role ORDER BY run_id, iteration, role
    ON CONFLICT (run_id, iteration, role)
    DO UPDATE SET {", ".join(f"{name} = t.{name} + excluded.{name}" for name in SUMMED)}
"""


async def record(c: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Calls and their sums; call it last in a transaction. Calls that are there already change nothing."""
    if rows:
        await execute(c, RECORD, rows=to_json(rows))


async def totals(c: AsyncConnection, run_id: str) -> list[JsonObject]:
    """The sums by iteration and role."""
    return await fetch(
        c,
        f"""
        SELECT iteration, role, {", ".join(SUMMED)} FROM usage_totals
        WHERE run_id = :run_id ORDER BY iteration, role
        """,
        run_id=run_id,
    )
