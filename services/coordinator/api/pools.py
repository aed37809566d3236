"""`/v1/runs/{id}/pools`: the tuning and cache pool by pages, and as a streamed export."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api.frame import Desk, answer, public, run_or_404
from services.coordinator.api.instruction_shapes import PoolPage
from services.coordinator.export.dialogues import chunks, llava_list, openai_lines
from services.coordinator.export.parquet import parquet_file
from services.coordinator.merge import picture_of
from services.coordinator.repositories import iterations, pools
from shared.errors import BadRequest, NotFound

Pool = Literal["tuning", "cache"]
Format = Literal["openai", "llava", "parquet"]
FILES = {  # the ending of a file's name, and its media type
    "openai": ("openai.jsonl", "application/jsonl"),
    "llava": ("llava.json", "application/json"),
    "parquet": ("parquet", "application/vnd.apache.parquet"),
}
EXPORTED: dict[int | str, dict[str, Any]] = {200: {"content": {kind: {} for _, kind in FILES.values()}}}


def router(desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/v1/runs/{run_id}/pools/{pool}", tags=["pools"])
    _add_pages(routes, desk)
    _add_export(routes, desk)
    return routes


def _add_pages(routes: APIRouter, desk: Desk) -> None:
    @routes.get("", response_model=PoolPage)
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


def _add_export(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/export", response_class=StreamingResponse, responses=EXPORTED)
    async def export(
        run_id: str,
        pool: Pool,
        iteration: Annotated[int | None, Query(ge=1)] = None,
        format: Format = "openai",
        images: Annotated[bool, Query(description="Parquet with the pictures' bytes")] = False,
    ) -> StreamingResponse:
        """The answered instructions with their provenance; `x-comd-unanswered` says how many have no answer."""
        if images and format != "parquet":
            raise BadRequest("images: only Parquet holds the pictures; ask for format=parquet")
        async with desk.engine.connect() as c:
            number = await _iteration(c, run_id, iteration)
            counts = await pools.count_answered(c, run_id, pool, number)
        of = {"run": run_id, "pool": pool, "iteration": number}
        batches = pools.by_image(desk.engine, run_id, pool, number)
        if format == "parquet":
            content = parquet_file(batches, of, desk.images.read if images else None)
        else:
            content = chunks((openai_lines if format == "openai" else llava_list)(batches, of))
        ending, media_type = FILES[format]
        return StreamingResponse(
            content,
            media_type=media_type,
            headers={
                "content-disposition": f'attachment; filename="{run_id}-{pool}-{number}.{ending}"',
                "x-comd-iteration": str(number),
                "x-comd-answered": str(counts["answered"]),
                "x-comd-unanswered": str(counts["unanswered"]),
            },
        )


async def _iteration(c: AsyncConnection, run_id: str, asked: int | None) -> int:
    """The iteration asked for, or the newest."""
    await run_or_404(c, run_id)
    newest = await iterations.newest(c, run_id)
    number = max(1, newest["number"]) if newest else 1
    if asked is not None and asked > number:
        raise NotFound(f"run {run_id} has no iteration {asked} yet; its newest is {number}")
    return asked or number
