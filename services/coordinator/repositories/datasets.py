"""Queries on data sets and their items."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.database import to_json
from services.coordinator.repositories.rows import execute, fetch, fetch_one, insert
from shared.types import JsonObject

SUMMARY = (
    "name, name AS id, purpose, path, content_sha256, num_records, num_instructions, num_images, num_refused, "
    "refused, created_at"
)


async def get(c: AsyncConnection, name: str) -> JsonObject | None:
    return await fetch_one(c, f"SELECT {SUMMARY} FROM datasets WHERE name = :name", name=name)


async def everything(c: AsyncConnection) -> list[JsonObject]:
    return await fetch(c, f"SELECT {SUMMARY} FROM datasets ORDER BY created_at, name")


async def add(c: AsyncConnection, summary: JsonObject) -> bool:
    """False where the name is taken."""
    values: dict[str, Any] = {**summary, "refused": to_json(summary["refused"])}
    return (
        await execute(
            c,
            """
        INSERT INTO datasets
            (name, purpose, path, content_sha256, num_records, num_instructions, num_images, num_refused, refused)
        VALUES (:name, :purpose, :path, :content_sha256, :num_records, :num_instructions, :num_images, :num_refused,
            CAST(:refused AS jsonb))
        ON CONFLICT DO NOTHING
        """,
            **values,
        )
        == 1
    )


async def add_items(c: AsyncConnection, items: list[JsonObject]) -> None:
    await insert(c, "dataset_items", items)


async def complete(c: AsyncConnection, summary: JsonObject) -> None:
    """What was found, once all of it was read."""
    await execute(
        c,
        """
        UPDATE datasets SET content_sha256 = :content_sha256, num_records = :num_records,
            num_instructions = :num_instructions, num_images = :num_images, num_refused = :num_refused,
            refused = CAST(:refused AS jsonb)
        WHERE name = :name
        """,
        **{key: value for key, value in summary.items() if key not in {"purpose", "path", "refused"}},
        refused=to_json(summary["refused"]),
    )
