"""Queries on runs."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.database import to_json
from services.coordinator.repositories import event_log
from services.coordinator.repositories.rows import execute, fetch, fetch_one, insert, scalar
from services.coordinator.states import RunStatus, check_transition
from shared.types import JsonObject

COLUMNS = (
    "id, name, kind, dataset, config, engines, status, target, holds_lease, progress, reason, parent_run, "
    "branched_from, created_at, updated_at"
)
SYSTEM = "the coordinator"  # the cause of what nobody asked for

STAND = """
    coalesce((SELECT max(number) FROM iterations WHERE run_id = runs.id), 0) AS iteration,
    (SELECT phase FROM iterations WHERE run_id = runs.id ORDER BY number DESC LIMIT 1) AS phase
"""


async def create(
    c: AsyncConnection,
    run_id: str,
    name: str,
    dataset: str,
    config: JsonObject,
    engines: JsonObject,
    cause: str = SYSTEM,
) -> None:
    await execute(
        c,
        """
        INSERT INTO runs (id, name, dataset, config, engines, status, target, progress)
        VALUES (:id, :name, :dataset, CAST(:config AS jsonb), CAST(:engines AS jsonb), 'created', 0, '{}')
        """,
        id=run_id,
        name=name,
        dataset=dataset,
        config=to_json(config),
        engines=to_json(engines),
    )
    await event_log.record(
        c, run_id, "created", cause, status="created", name=name, dataset=dataset, config=config
    )


async def get(c: AsyncConnection, run_id: str, *, for_update: bool = False) -> JsonObject | None:
    # rows that refer to a run are still written meanwhile, so that nobody waits in a circle
    lock = " FOR NO KEY UPDATE" if for_update else ""
    return await fetch_one(c, f"SELECT {COLUMNS} FROM runs WHERE id = :id{lock}", id=run_id)


async def find(c: AsyncConnection, id_or_name: str) -> JsonObject | None:
    """The run of this id, or the newest of this name."""
    return await fetch_one(
        c,
        f"""
        SELECT {COLUMNS}, {STAND} FROM runs WHERE id = :wanted OR name = :wanted AND kind = 'training'
        ORDER BY id = :wanted DESC, created_at DESC LIMIT 1
        """,
        wanted=id_or_name,
    )


async def everything(c: AsyncConnection) -> list[JsonObject]:
    """All runs that train, the newest first, with where they stand."""
    return await fetch(
        c, f"SELECT {COLUMNS}, {STAND} FROM runs WHERE kind = 'training' ORDER BY created_at DESC, id"
    )


async def view(c: AsyncConnection, run_id: str) -> JsonObject | None:
    """The run with where it stands: iteration 0 and no phase before its start."""
    return await fetch_one(c, f"SELECT {COLUMNS}, {STAND} FROM runs WHERE id = :id", id=run_id)


async def active(c: AsyncConnection) -> list[str]:
    """Runs that the driver has to look at: running, or with a lease to give back."""
    rows = await fetch(
        c, "SELECT id FROM runs WHERE status = 'running' OR holds_lease ORDER BY created_at, id"
    )
    return [row["id"] for row in rows]


async def hold(c: AsyncConnection, run_id: str) -> RunStatus:
    """The run's status, which stays so until this transaction ends. Lock the run first, then what belongs to it."""
    run = await fetch_one(c, "SELECT status FROM runs WHERE id = :id FOR NO KEY UPDATE", id=run_id)
    assert run is not None, "a run is never deleted"
    status: RunStatus = run["status"]
    return status


async def set_status(
    c: AsyncConnection, run_id: str, status: RunStatus, reason: str | None = None, cause: str | None = None
) -> None:
    """The only way to another status: by the table of transitions, and with an entry in the log.

    Conflict where the table has no such step. The cause is the reason where none is given.
    """
    before = await hold(c, run_id)
    check_transition(before, status)
    await execute(
        c,
        "UPDATE runs SET status = :status, reason = :reason, updated_at = now() WHERE id = :id",
        id=run_id,
        status=status,
        reason=reason,
    )
    begins = "started" if before in {"created", "finished"} else "resumed"
    action = begins if status == "running" else status
    await event_log.record(
        c, run_id, action, cause or reason or SYSTEM, status=status, before=before, reason=reason
    )


async def end(c: AsyncConnection, run_id: str, status: RunStatus, reason: str | None = None) -> None:
    """A running run comes to its end; one that a person stopped meanwhile stays as it is."""
    if await hold(c, run_id) == "running":
        await set_status(c, run_id, status, reason)
        await set_progress(c, run_id, {})


async def add_trainings(c: AsyncConnection, run_id: str, count: int, cause: str = SYSTEM) -> None:
    target = await scalar(
        c,
        "UPDATE runs SET target = target + :count, updated_at = now() WHERE id = :id RETURNING target",
        id=run_id,
        count=count,
    )
    await event_log.record(c, run_id, "trainings_added", cause, count=count, target=target)


async def set_engines(
    c: AsyncConnection, run_id: str, specs: Mapping[str, JsonObject | None], cause: str = SYSTEM
) -> None:
    """Engines by role; None gives a role its service's own again."""
    await execute(
        c,
        """
        UPDATE runs SET updated_at = now(),
            engines = (engines - CAST(:changed AS text[])) || CAST(:specs AS jsonb)
        WHERE id = :id
        """,
        id=run_id,
        changed=list(specs),
        specs=to_json({role: spec for role, spec in specs.items() if spec is not None}),
    )
    await event_log.record(c, run_id, "engines_swapped", cause, engines=dict(specs))


async def set_config(c: AsyncConnection, run_id: str, config: JsonObject) -> None:
    await execute(
        c,
        "UPDATE runs SET config = CAST(:config AS jsonb), updated_at = now() WHERE id = :id",
        id=run_id,
        config=to_json(config),
    )


async def set_progress(c: AsyncConnection, run_id: str, progress: JsonObject) -> None:
    await execute(
        c,
        "UPDATE runs SET progress = CAST(:progress AS jsonb), updated_at = now() WHERE id = :id",
        id=run_id,
        progress=to_json(progress),
    )


async def set_holds_lease(c: AsyncConnection, run_id: str, held: bool) -> None:
    await execute(c, "UPDATE runs SET holds_lease = :held WHERE id = :id", id=run_id, held=held)


async def honoured(c: AsyncConnection, run_id: str, key: str) -> JsonObject | None:
    """The body of the request that had this Idempotency-Key."""
    row = await fetch_one(
        c, "SELECT body FROM requests WHERE run_id = :run_id AND key = :key", run_id=run_id, key=key
    )
    return None if row is None else row["body"]


async def honour(c: AsyncConnection, run_id: str, key: str, body: dict[str, Any]) -> None:
    await insert(c, "requests", [{"run_id": run_id, "key": key, "body": body}])
