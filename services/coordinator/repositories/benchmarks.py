"""Queries on benchmarks: data sets of the purpose `benchmark`, with their questions."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.repositories.rows import fetch, fetch_one, insert
from shared.types import JsonObject

COLUMNS = """
    d.name, b.kind, b.split, b.notes, d.path, d.content_sha256, d.num_instructions AS num_items, d.num_images,
    d.created_at
"""
SOURCE = "FROM benchmarks b JOIN datasets d ON d.name = b.dataset"


async def get(c: AsyncConnection, name: str) -> JsonObject | None:
    return await fetch_one(c, f"SELECT {COLUMNS} {SOURCE} WHERE d.name = :name", name=name)


async def everything(c: AsyncConnection) -> list[JsonObject]:
    return await fetch(c, f"SELECT {COLUMNS} {SOURCE} ORDER BY d.created_at, d.name")


async def add(c: AsyncConnection, benchmark: JsonObject, items: Sequence[JsonObject]) -> bool:
    """A new benchmark with all of its questions; False where a data set of the name is there."""
    row = {
        "name": benchmark["name"],
        "purpose": "benchmark",
        "path": benchmark["path"],
        "images": benchmark["path"],
        "status": "ready",
        "content_sha256": benchmark["content_sha256"],
        "num_records": len(items),
        "num_instructions": len(items),
        "num_images": benchmark["num_images"],
        "num_refused": 0,
        "refused": [],
    }
    if not await insert(c, "datasets", [row]):
        return False
    known = {name: benchmark[name] for name in ("kind", "split", "notes")}
    await insert(c, "benchmarks", [{"dataset": benchmark["name"], **known}])
    await insert(c, "benchmark_items", items)
    return True
