"""`/v1/runs/{id}/pools`: the tuning and cache pool by pages, and as a streamed export."""

from collections.abc import AsyncIterator
from itertools import groupby
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.coordinator.api import shapes
from services.coordinator.api.frame import Desk, answer, public, run_or_404
from services.coordinator.merge import Answered, order, picture_of, training_line
from services.coordinator.repositories import iterations, pools
from shared.errors import NotFound
from shared.types import JsonObject

Pool = Literal["tuning", "cache"]
Format = Literal["openai", "llava"]


def router(desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/v1/runs/{run_id}/pools/{pool}", tags=["pools"])

    @routes.get("", response_model=shapes.PoolPage)
    async def page(
        run_id: str,
        pool: Pool,
        iteration: Annotated[int | None, Query(ge=1)] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        cursor: Annotated[
            str | None, Query(pattern=r"^[0-9]{1,19}$", description="an earlier next_cursor")
        ] = None,
    ) -> Response:
        """In id order; `next_cursor` is null on the last page."""
        async with desk.engine.connect() as c:
            number = await _iteration(c, run_id, iteration)
            rows = await pools.page(c, run_id, pool, number, int(cursor or -1), limit + 1)
        more = len(rows) > limit
        return answer(
            {
                "object": "list",
                "pool": pool,
                "iteration": number,
                "data": [public({**row, "image": picture_of(row["image"])}) for row in rows[:limit]],
                "next_cursor": str(rows[limit - 1]["id"]) if more else None,
            }
        )

    @routes.get("/export", response_class=shapes.JsonLines)
    async def export(
        run_id: str,
        pool: Pool,
        iteration: Annotated[int | None, Query(ge=1)] = None,
        format: Format = "openai",
    ) -> StreamingResponse:
        """JSON lines, one an image: the answered instructions as the student is trained on them."""
        async with desk.engine.connect() as c:
            number = await _iteration(c, run_id, iteration)
        name = f"{run_id}-{pool}-{number}.{format}.jsonl"
        return StreamingResponse(
            _lines(desk.engine, run_id, pool, number, format),
            media_type="application/jsonl",
            headers={"content-disposition": f'attachment; filename="{name}"'},
        )

    return routes


async def _iteration(c: AsyncConnection, run_id: str, asked: int | None) -> int:
    """The iteration asked for, or the newest."""
    await run_or_404(c, run_id)
    newest = await iterations.newest(c, run_id)
    number = max(1, newest["number"]) if newest else 1
    if asked is not None and asked > number:
        raise NotFound(f"run {run_id} has no iteration {asked} yet; its newest is {number}")
    return asked or number


async def _lines(
    engine: AsyncEngine, run_id: str, pool: str, number: int, format: Format
) -> AsyncIterator[bytes]:
    write = training_line if format == "openai" else llava_record
    kept: list[JsonObject] = []
    async with engine.connect() as c:
        async for batch in pools.answered(c, run_id, pool, number):
            rows = kept + batch
            kept = [row for row in rows if row["image"] == rows[-1]["image"]]
            for line in _written(rows[: len(rows) - len(kept)], write):
                yield line
        for line in _written(kept, write):
            yield line


def _written(rows: list[JsonObject], write: object) -> list[bytes]:
    assert callable(write)
    lines = []
    for image, group in groupby(rows, key=lambda row: str(row["image"])):
        items = [Answered(r["id"], r["dialogue"], r["turn"], r["text"], r["answer"]) for r in group]
        lines.append(orjson.dumps(write(image, items), option=orjson.OPT_APPEND_NEWLINE))
    return lines


def llava_record(image: str, items: list[Answered]) -> JsonObject:
    """The image's dialogue in the form that LLaVA's data has; the picture is named by its sha256."""
    turns: list[JsonObject] = []
    for item in sorted(items, key=order):
        turns.append({"from": "human", "value": item.text})
        turns.append({"from": "gpt", "value": item.answer})
    picture = picture_of(image)
    if picture is None:
        return {"id": image, "conversations": turns}
    turns[0] = {"from": "human", "value": f"<image>\n{turns[0]['value']}"}
    return {"id": image, "image": picture, "conversations": turns}
