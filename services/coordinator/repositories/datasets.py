"""Queries on data sets and their items."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.database import to_json
from services.coordinator.repositories.rows import execute, fetch, fetch_one, scalar
from shared.types import JsonObject

SUMMARY = (
    "name, name AS id, purpose, status, path, images, file_state, bytes_read, bytes_total, content_sha256, "
    "num_records, num_instructions, num_images, num_refused, refused, created_at"
)
ITEM = "dataset, id, image, text, task_type, dialogue, turn, reference, asked"


async def get(c: AsyncConnection, name: str, *, for_update: bool = False) -> JsonObject | None:
    lock = " FOR UPDATE" if for_update else ""
    return await fetch_one(c, f"SELECT {SUMMARY} FROM datasets WHERE name = :name{lock}", name=name)


async def everything(c: AsyncConnection) -> list[JsonObject]:
    """All that runs use; benchmarks are listed for themselves."""
    return await fetch(
        c, f"SELECT {SUMMARY} FROM datasets WHERE purpose <> 'benchmark' ORDER BY created_at, name"
    )


async def add(c: AsyncConnection, summary: JsonObject) -> bool:
    """A data set that is ready. False where the name is taken."""
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


async def begin(c: AsyncConnection, name: str, source: JsonObject) -> None:
    """A data set of which nothing is read yet. Whoever begins at the same moment goes on with the first one's."""
    await execute(
        c,
        """
        INSERT INTO datasets (name, status, purpose, path, images, file_state, bytes_total, content_sha256,
            num_records, num_instructions, num_images, num_refused, refused)
        VALUES (:name, 'importing', :purpose, :path, :images, :file_state, :bytes_total, '', 0, 0, 0, 0, '[]')
        ON CONFLICT DO NOTHING
        """,
        name=name,
        **source,
    )


async def holds(c: AsyncConnection, name: str, num_records: int, file_state: str) -> bool:
    """Whether so many records of that file are read, and no more; kept so until this transaction ends."""
    found = await scalar(
        c,
        """
        SELECT true FROM datasets WHERE name = :name AND status = 'importing' AND num_records = :num_records
            AND file_state = :file_state FOR UPDATE
        """,
        name=name,
        num_records=num_records,
        file_state=file_state,
    )
    return bool(found)


async def add_items(c: AsyncConnection, items: Sequence[JsonObject]) -> list[tuple[int, str]]:
    """Id and hash of those that are new; the first of equal ones wins."""
    if not items:
        return []
    rows = await fetch(
        c,
        f"""
        INSERT INTO dataset_items ({ITEM})
        SELECT {ITEM} FROM json_populate_recordset(NULL::dataset_items, CAST(:rows AS json))
        ON CONFLICT DO NOTHING RETURNING id, asked
        """,
        rows=to_json(items),
    )
    return [(row["id"], row["asked"]) for row in rows]


async def ids_there(c: AsyncConnection, dataset: str, ids: Sequence[int]) -> set[int]:
    """Which of the ids the data set has."""
    rows = await fetch(
        c,
        "SELECT id FROM dataset_items WHERE dataset = :dataset AND id = ANY(:ids)",
        dataset=dataset,
        ids=list(ids),
    )
    return {row["id"] for row in rows}


async def advance(c: AsyncConnection, stand: JsonObject) -> None:
    """How far the import is by now."""
    names = ("content_sha256", "num_records", "num_instructions", "num_refused", "bytes_read")
    await execute(
        c,
        f"""
        UPDATE datasets SET {", ".join(f"{name} = :{name}" for name in names)}, refused = CAST(:refused AS jsonb)
        WHERE name = :name
        """,
        name=stand["name"],
        refused=to_json(stand["refused"]),
        **{name: stand[name] for name in names},
    )


async def complete(c: AsyncConnection, name: str) -> None:
    """All of it is read: runs may use it."""
    await execute(
        c,
        """
        UPDATE datasets SET status = 'ready', bytes_read = bytes_total, num_images = (
            SELECT count(DISTINCT image) FROM dataset_items WHERE dataset = :name AND image NOT LIKE 'text:%'
        ) WHERE name = :name
        """,
        name=name,
    )


async def remove(c: AsyncConnection, name: str) -> None:
    """A data set that is not ready, with what was read of it."""
    await execute(c, "DELETE FROM dataset_items WHERE dataset = :name", name=name)
    await execute(c, "DELETE FROM datasets WHERE name = :name AND status = 'importing'", name=name)
