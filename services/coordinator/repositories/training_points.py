"""Queries on the curves of trainings: a loss and a learning rate for every optimizer step of an iteration's job."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.repositories.rows import execute, fetch, fetch_one, insert
from services.coordinator.training_events import Point
from shared.types import JsonObject


async def newest(c: AsyncConnection, run_id: str, iteration: int) -> Point | None:
    """The last point that is kept."""
    row = await fetch_one(
        c,
        """
        SELECT step, loss, learning_rate FROM training_points
        WHERE run_id = :run_id AND iteration = :iteration ORDER BY step DESC LIMIT 1
        """,
        run_id=run_id,
        iteration=iteration,
    )
    return None if row is None else Point(**row)


async def go_on(c: AsyncConnection, run_id: str, iteration: int, points: Sequence[Point]) -> None:
    """Keep points in the order of their steps; what was kept of these steps and later ones is replaced."""
    if points:
        await forget(c, run_id, iteration, points[0].step)
        place = {"run_id": run_id, "iteration": iteration}
        await insert(c, "training_points", [{**place, **asdict(point)} for point in points])


async def forget(c: AsyncConnection, run_id: str, iteration: int, from_step: int = 0) -> None:
    """A job begins anew, or from this step on."""
    await execute(
        c,
        """
        DELETE FROM training_points WHERE run_id = :run_id AND iteration = :iteration AND step >= :from_step
        """,
        run_id=run_id,
        iteration=iteration,
        from_step=from_step,
    )


async def curve(c: AsyncConnection, run_id: str, iteration: int) -> list[JsonObject]:
    """Every step of one training, oldest first."""
    return await fetch(
        c,
        """
        SELECT step, loss, learning_rate FROM training_points
        WHERE run_id = :run_id AND iteration = :iteration ORDER BY step
        """,
        run_id=run_id,
        iteration=iteration,
    )


async def thinned(c: AsyncConnection, run_id: str, most: int) -> list[JsonObject]:
    """All trainings of a run in at most about `most` places: each the mean of as many steps, at its last step."""
    return await fetch(
        c,
        """
        WITH width AS (SELECT greatest(1, ceil(count(*) / CAST(:most AS numeric)))::bigint AS steps
            FROM training_points WHERE run_id = :run_id)
        SELECT iteration, max(step) AS step, avg(loss) AS loss, avg(learning_rate) AS learning_rate
        FROM training_points, width WHERE run_id = :run_id
        GROUP BY iteration, (step - 1) / width.steps ORDER BY iteration, max(step)
        """,
        run_id=run_id,
        most=most,
    )
