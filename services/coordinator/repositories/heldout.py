"""Queries on a run's held-out questions, and on what its student answered after a training."""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.repositories.rows import fetch
from shared.types import JsonObject


async def page(c: AsyncConnection, run_id: str, iteration: int, after: int, limit: int) -> list[JsonObject]:
    """Questions from behind the id `after`, in id order; one that was not asked (yet) has no answer."""
    return await fetch(
        c,
        """
        SELECT d.id, d.dialogue, d.turn, d.task_type, d.image, d.text, d.reference, a.text AS answer, e.correct
        FROM runs r JOIN dataset_items d ON d.dataset = r.config->'evaluation'->>'dataset'
        LEFT JOIN evaluation_answers e
            ON e.run_id = r.id AND e.iteration = :iteration AND e.item_id = d.id
        LEFT JOIN answers a ON a.request_hash = e.request_hash
        WHERE r.id = :run_id AND d.id > :after ORDER BY d.id LIMIT :limit
        """,
        run_id=run_id,
        iteration=iteration,
        after=after,
        limit=limit,
    )
