"""`/evaluations`: what was measured, the newest first, by benchmark; and several beside each other."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api.evaluations import difference_view, evaluation_or_404
from services.coordinator.api.frame import Desk
from services.coordinator.benchmarks.items import COLUMNS
from services.coordinator.dashboard.pages import Pages
from services.coordinator.dashboard.run_list import NO_PROGRESS
from services.coordinator.repositories import benchmarks, evaluations
from services.coordinator.score_curves import how
from services.coordinator.score_tables import score_table
from shared.errors import BadRequest
from shared.types import JsonObject

AT_ONCE = 50
MOST_BESIDE = 20
Name = Annotated[str, Query(max_length=200)]
Ids = Annotated[list[str], Query(max_length=MOST_BESIDE)]


def router(pages: Pages, desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/evaluations", include_in_schema=False, route_class=pages.route_class())

    @routes.get("")
    async def every(
        request: Request,
        benchmark: Name = "",
        run: Name = "",
        skip: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    ) -> Response:
        async with desk.engine.connect() as c:
            rows = await evaluations.everything(c, run or None, benchmark or None)
            known = await benchmarks.everything(c)
        return pages.answer(
            "evaluations.html",
            request,
            rows=[shown(row) for row in rows[skip : skip + AT_ONCE]],
            benchmarks=known,
            wanted={"benchmark": benchmark, "run": run},
            skip=skip,
            at_once=AT_ONCE,
            has_more=len(rows) > skip + AT_ONCE,
        )

    @routes.get("/compare")
    async def compare(request: Request, id: Ids = []) -> Response:  # noqa: B006
        if not id:
            raise BadRequest("choose evaluations of one benchmark in the list, then compare them", param="id")
        async with desk.engine.connect() as c:
            rows = [shown(await evaluation_or_404(c, one)) for one in dict.fromkeys(id)]
            table = score_table(rows)
            changes = await _to_the_first(c, rows)
        return pages.answer("evaluations_compared.html", request, rows=rows, table=table, changes=changes)

    return routes


def shown(row: JsonObject) -> JsonObject:
    """An evaluation with what is shown of it besides: its overall score, and its present progress."""
    overall = COLUMNS[row["kind"]][-1]
    goes_on = row["status"] in {"running", "paused"}
    return {
        **row,
        "overall": (row["scores"] or {}).get(overall),
        "overall_name": overall,
        "progress": {**NO_PROGRESS, **(row["progress"] if goes_on else {})},
        "how": how(row["kind"], row["settings"]),
    }


async def _to_the_first(c: AsyncConnection, rows: list[JsonObject]) -> list[tuple[JsonObject, JsonObject]]:
    """Each later one with its paired difference to the first, by column; those that have scores."""
    measured = [row for row in rows if row["scores"]]
    return [
        (other, (await difference_view(c, other["id"], measured[0]["id"]))["columns"])
        for other in measured[1:]
    ]
