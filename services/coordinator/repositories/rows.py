"""One statement, its rows as dicts: the small frame that every repository query runs in."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy
from sqlalchemy import TextClause
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.database import to_json
from shared.types import JsonObject


@lru_cache(maxsize=512)
def text(sql: str) -> TextClause:
    """The statement, parsed once: parsing cost more than running many of them."""
    return sqlalchemy.text(sql)


async def fetch(c: AsyncConnection, sql: str, **values: Any) -> list[JsonObject]:
    """All rows."""
    return [dict(row) for row in (await c.execute(text(sql), values)).mappings()]


async def fetch_one(c: AsyncConnection, sql: str, **values: Any) -> JsonObject | None:
    """The row, or None where there is none."""
    row = (await c.execute(text(sql), values)).mappings().first()
    return None if row is None else dict(row)


async def scalar(c: AsyncConnection, sql: str, **values: Any) -> Any:
    return (await c.execute(text(sql), values)).scalar()


async def execute(c: AsyncConnection, sql: str, **values: Any) -> int:
    """The number of rows that changed."""
    return int((await c.execute(text(sql), values)).rowcount)


async def join_by_hashing(c: AsyncConnection) -> None:
    """For statements over a whole pool, to the end of the transaction: never row by row.

    Statistics may be older than the pool; a planner that expects one row joins half a million by nested loops.
    """
    await execute(c, "SET LOCAL enable_nestloop = off")


async def insert(c: AsyncConnection, table: str, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert rows of equal keys in one statement; those whose natural key is there already change nothing.

    The names come from our own code, never from a request.
    """
    if not rows:
        return 0
    columns = ", ".join(rows[0])
    source = f"json_populate_recordset(NULL::{table}, CAST(:rows AS json))"
    return await execute(
        c,
        f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {source} ON CONFLICT DO NOTHING",
        rows=to_json(rows),
    )
