"""The append-only log: every change of a run's state with its time and cause, in the transaction of the change.

Entries of a run are written while its row is locked (`runs.hold`), so that a later one never shows before an
earlier one to somebody who reads on from the last that he knows.
"""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.database import to_json
from services.coordinator.repositories.rows import execute, fetch
from shared.types import JsonObject

LATEST = 2**63 - 1  # beyond the id of every entry
COLUMNS = "id, at, run_id, action, cause, detail"


async def record(c: AsyncConnection, run_id: str | None, action: str, cause: str, **detail: Any) -> None:
    """One entry; without a run it concerns the whole system."""
    await execute(
        c,
        """
        INSERT INTO event_log (run_id, action, cause, detail)
        VALUES (:run_id, :action, :cause, CAST(:detail AS jsonb))
        """,
        run_id=run_id,
        action=action,
        cause=cause,
        detail=to_json(detail),
    )


async def page(c: AsyncConnection, run_id: str | None, after: int, limit: int) -> list[JsonObject]:
    """The oldest first, from behind the id `after`: of one run, or of all and of the system."""
    of_run = "" if run_id is None else "run_id = :run_id AND"
    given = {} if run_id is None else {"run_id": run_id}
    return await fetch(
        c,
        f"SELECT {COLUMNS} FROM event_log WHERE {of_run} id > :after ORDER BY id LIMIT :limit",
        after=after,
        limit=limit,
        **given,
    )


async def newest(c: AsyncConnection, run_id: str, limit: int) -> list[JsonObject]:
    """The last entries of a run, the newest first."""
    return await fetch(
        c,
        f"SELECT {COLUMNS} FROM event_log WHERE run_id = :run_id ORDER BY id DESC LIMIT :limit",
        run_id=run_id,
        limit=limit,
    )


async def back(
    c: AsyncConnection, run_id: str | None, before: int, action: str | None, cause: str | None, limit: int
) -> list[JsonObject]:
    """The newest first, from before the id `before`: of one run, or of all and of the system.

    `cause` is a part of the entries' cause, whatever its case.
    """
    conditions = {
        "run_id": ("run_id = :run_id", run_id),
        "action": ("action = :action", action),
        "cause": ("position(lower(:cause) IN lower(cause)) > 0", cause),
    }
    given = {name: (sql, value) for name, (sql, value) in conditions.items() if value is not None}
    where = " AND ".join(["id < :before", *(sql for sql, _ in given.values())])
    return await fetch(
        c,
        f"SELECT {COLUMNS} FROM event_log WHERE {where} ORDER BY id DESC LIMIT :limit",
        before=before,
        limit=limit,
        **{name: value for name, (_, value) in given.items()},
    )


async def actions(c: AsyncConnection, run_id: str | None) -> list[str]:
    """The actions that the log of a run, or the whole log, has."""
    of_run, given = ("", {}) if run_id is None else ("WHERE run_id = :run_id", {"run_id": run_id})
    rows = await fetch(c, f"SELECT DISTINCT action FROM event_log {of_run} ORDER BY action", **given)
    return [row["action"] for row in rows]
