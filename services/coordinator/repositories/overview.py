"""What the list of runs, `/metrics` and `doctor` ask of the database: small sums over everything."""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.repositories.rows import fetch, scalar
from services.coordinator.repositories.runs import COLUMNS, STAND
from shared.types import JsonObject


async def cards(c: AsyncConnection, limit: int, skip: int = 0) -> list[JsonObject]:
    """Runs that train, the newest first, with where they stand, their first and last accuracy and what they cost."""
    accuracy = """
        (SELECT heldout_accuracy FROM iterations WHERE run_id = runs.id AND heldout_accuracy IS NOT NULL
        ORDER BY number {order} LIMIT 1)
    """
    return await fetch(
        c,
        f"""
        SELECT {COLUMNS}, {STAND}, {accuracy.format(order="")} AS first_accuracy,
            {accuracy.format(order="DESC")} AS last_accuracy,
            (SELECT coalesce(sum(cost_nanos), 0)::bigint FROM usage_totals WHERE run_id = runs.id) AS cost_nanos
        FROM runs WHERE kind = 'training' ORDER BY created_at DESC, id LIMIT :limit OFFSET :skip
        """,
        limit=limit,
        skip=skip,
    )


async def run_counts(c: AsyncConnection) -> list[JsonObject]:
    return await fetch(
        c, "SELECT status, count(*) AS number FROM runs WHERE kind = 'training' GROUP BY status"
    )


async def running(c: AsyncConnection) -> list[JsonObject]:
    """Where each running run stands."""
    return await fetch(
        c,
        """
        SELECT r.id, i.number, i.phase, r.progress FROM runs r JOIN LATERAL (
            SELECT number, phase FROM iterations WHERE run_id = r.id ORDER BY number DESC LIMIT 1
        ) i ON true WHERE r.status = 'running'
        """,
    )


async def task_counts(c: AsyncConnection) -> list[JsonObject]:
    """Of the phases that go on; those of earlier ones are gone."""
    return await fetch(c, "SELECT phase, state, count(*) AS number FROM tasks GROUP BY phase, state")


async def usage_by_role(c: AsyncConnection) -> list[JsonObject]:
    """Of all runs ever; the sums only grow."""
    return await fetch(
        c,
        """
        SELECT role, sum(items)::bigint AS items, sum(calls)::bigint AS calls, sum(seconds) AS seconds,
            sum(prompt_tokens)::bigint AS prompt_tokens, sum(completion_tokens)::bigint AS completion_tokens
        FROM usage_totals GROUP BY role
        """,
    )


async def failure_counts(c: AsyncConnection) -> list[JsonObject]:
    return await fetch(c, "SELECT phase, count(*) AS number FROM failures GROUP BY phase")


async def leader_epoch(c: AsyncConnection) -> int:
    return int(await scalar(c, "SELECT coalesce(max(epoch), 0) FROM leadership"))


async def about_server(c: AsyncConnection) -> JsonObject:
    """The server's version, its clock, and how large the database is."""
    rows = await fetch(
        c,
        """
        SELECT current_setting('server_version') AS version, clock_timestamp() AS now,
            pg_database_size(current_database()) AS bytes
        """,
    )
    return rows[0]


async def is_locked(c: AsyncConnection, key: int) -> bool:
    """Whether somebody holds the advisory lock, in this database."""
    return bool(
        await scalar(
            c,
            """
            SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = :key AND granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
            """,
            key=key,
        )
    )
