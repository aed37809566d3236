"""Queries on iterations: their phases, counts and times."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.database import to_json
from services.coordinator.repositories import event_log, pools
from services.coordinator.repositories.rows import execute, fetch, fetch_one
from services.coordinator.repositories.runs import SYSTEM
from services.coordinator.states import Phase, check_phase
from shared.types import JsonObject

COLUMNS = (
    "number, phase, phase_started_at, created_at, seconds, tuning_pool, cache_pool, job_id, checkpoint, "
    "train_loss, training, judge, difficult, easy, unjudged, mean_difficulty, accepted, dropped, "
    "rejected, heldout_accuracy, heldout_by_kind, endings, retries"
)
JSON_COLUMNS = {"training", "judge", "heldout_by_kind", "endings"}


async def newest(c: AsyncConnection, run_id: str) -> JsonObject | None:
    return await fetch_one(
        c,
        f"SELECT {COLUMNS} FROM iterations WHERE run_id = :run_id ORDER BY number DESC LIMIT 1",
        run_id=run_id,
    )


async def get(c: AsyncConnection, run_id: str, number: int) -> JsonObject | None:
    return await fetch_one(
        c,
        f"SELECT {COLUMNS} FROM iterations WHERE run_id = :run_id AND number = :number",
        run_id=run_id,
        number=number,
    )


async def everything(c: AsyncConnection, run_id: str) -> list[JsonObject]:
    return await fetch(
        c, f"SELECT {COLUMNS} FROM iterations WHERE run_id = :run_id ORDER BY number", run_id=run_id
    )


async def start(c: AsyncConnection, run_id: str, number: int, phase: Phase) -> None:
    """A new iteration; from the first on its tuning pool is there already, and is counted."""
    tuning = await pools.membership(c, run_id, "tuning", number)
    row = await fetch_one(
        c,
        f"""
        INSERT INTO iterations (run_id, number, phase, tuning_pool, cache_pool)
        SELECT :run_id, CAST(:iteration AS bigint), :phase,
            CASE WHEN :iteration > 0 THEN count(*) FILTER (WHERE {tuning}) END,
            CASE WHEN :iteration > 0 THEN count(*) END
        FROM instructions i WHERE run_id = :run_id AND born_in <= :iteration
        ON CONFLICT DO NOTHING RETURNING tuning_pool, cache_pool
        """,
        run_id=run_id,
        iteration=number,
        phase=phase,
    )
    if row is not None:
        await event_log.record(c, run_id, "iteration_begun", SYSTEM, iteration=number, phase=phase, **row)


async def move(
    c: AsyncConnection,
    run_id: str,
    number: int,
    before: Phase,
    after: Phase,
    *,
    retries: int,
    ended: JsonObject | None = None,
) -> bool:
    """Into the next phase; the seconds of the one that is over are kept, and how it `ended`.

    False where it is not over after all: somebody asked for its failures again, or began its assessment anew
    (`retries`), since the driver looked.
    """
    check_phase(before, after)
    row = await fetch_one(
        c,
        """
        WITH over AS (
            SELECT round(CAST(extract(epoch FROM now() - phase_started_at) AS numeric), 3) AS seconds
            FROM iterations WHERE run_id = :run_id AND number = :number
        )
        UPDATE iterations SET phase = :after, phase_started_at = now(),
            seconds = CASE WHEN :before IN ('trained', 'complete') THEN iterations.seconds ELSE iterations.seconds
                || jsonb_build_object(CAST(:before AS text), over.seconds) END,
            endings = endings || CAST(:endings AS jsonb)
        FROM over
        WHERE run_id = :run_id AND number = :number AND phase = :before AND retries = :retries
        RETURNING CAST(over.seconds AS double precision) AS seconds
        """,
        run_id=run_id,
        number=number,
        before=before,
        after=after,
        retries=retries,
        endings=to_json({before: ended} if ended else {}),
    )
    if row is not None:
        moved = {"iteration": number, "before": before, "phase": after, "ending": ended}
        await event_log.record(c, run_id, "phase_moved", SYSTEM, **moved, **row)
    return row is not None


async def note_ending(
    c: AsyncConnection, run_id: str, number: int, phase: Phase, ended: JsonObject, *, retries: int
) -> bool:
    """How a phase ended, while it is still the iteration's; False as with `move`."""
    num_rows = await execute(
        c,
        """
        UPDATE iterations SET endings = endings || CAST(:endings AS jsonb)
        WHERE run_id = :run_id AND number = :number AND phase = :phase AND retries = :retries
        """,
        run_id=run_id,
        number=number,
        phase=phase,
        retries=retries,
        endings=to_json({phase: ended}),
    )
    return num_rows == 1


async def renew(c: AsyncConnection, run_id: str, number: int, phase: Phase) -> None:
    """The phase lacks results again: whoever found that it is over has to look once more."""
    await execute(
        c,
        """
        UPDATE iterations SET retries = retries + 1, endings = endings - CAST(:phase AS text)
        WHERE run_id = :run_id AND number = :number
        """,
        run_id=run_id,
        number=number,
        phase=phase,
    )


async def fix_judge(c: AsyncConnection, run_id: str, number: int, judge: JsonObject) -> None:
    """The one judge of the iteration's whole assessment."""
    await record(c, run_id, number, judge=judge)
    await event_log.record(c, run_id, "judge_fixed", SYSTEM, iteration=number, judge=judge)


async def record(c: AsyncConnection, run_id: str, number: int, **values: Any) -> None:
    """Set columns of an iteration; the names come from our own code."""
    changes = ", ".join(
        f"{name} = CAST(:{name} AS jsonb)" if name in JSON_COLUMNS else f"{name} = :{name}" for name in values
    )
    ready = {
        name: to_json(value) if name in JSON_COLUMNS and value is not None else value
        for name, value in values.items()
    }
    await execute(
        c,
        f"UPDATE iterations SET {changes} WHERE run_id = :run_id AND number = :number",
        run_id=run_id,
        number=number,
        **ready,
    )


async def newest_checkpoint(c: AsyncConnection, run_id: str, before: int) -> str | None:
    """The checkpoint of the last training before iteration `before`."""
    row = await fetch_one(
        c,
        """
        SELECT checkpoint FROM iterations
        WHERE run_id = :run_id AND number < :before AND checkpoint IS NOT NULL ORDER BY number DESC LIMIT 1
        """,
        run_id=run_id,
        before=before,
    )
    return None if row is None else str(row["checkpoint"])
