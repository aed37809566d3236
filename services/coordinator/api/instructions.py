"""`GET /v1/runs/{id}/instructions`: a cache pool with both answers and the verdict, filtered, by pages."""

import re
from typing import Annotated

from fastapi import APIRouter, Query, Response

from services.coordinator.api.frame import Desk, answer, public, run_or_404
from services.coordinator.api.instruction_shapes import JudgedPage
from services.coordinator.merge import picture_of
from services.coordinator.repositories import browsing, iterations
from services.coordinator.repositories.browsing import Filter, Place, Show
from shared.errors import BadRequest, NotFound
from shared.types import JsonObject

CURSOR = re.compile(r"(\d{1,19})(?:~(\d\.\d{1,20}(?:e-\d{1,2})?))?", re.ASCII)
MOST_CHARS = 20_000  # of an answer; one instruction's own route has the whole


def router(desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/v1/runs", tags=["views"])

    @routes.get("/{run_id}/instructions", response_model=JudgedPage)
    async def page(
        run_id: str,
        iteration: Annotated[
            int | None, Query(ge=1, le=2**31, description="default: the last with verdicts")
        ] = None,
        show: Annotated[
            Show, Query(description="hardest: judged, the hardest first; all: judged or not")
        ] = "hardest",
        task_type: Annotated[str | None, Query(max_length=200)] = None,
        words: Annotated[
            str | None, Query(max_length=200, description="whole words, in any order and case")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 100,
        cursor: Annotated[str | None, Query(max_length=60, description="an earlier next_cursor")] = None,
    ) -> Response:
        """With the student's answer of that iteration; of a longer answer the first 20,000 characters."""
        async with desk.engine.connect() as c:
            run = await run_or_404(c, run_id)
            number = iteration or await browsing.newest_judged(c, run_id) or 1
            if iteration and await iterations.get(c, run_id, iteration) is None:
                raise NotFound(f"run {run_id} has no iteration {iteration} yet")
            wanted = Filter(number, show, task_type, (words or "").strip() or None)
            rows = await browsing.page(
                c, run_id, wanted, run["config"]["tau"], _place(cursor, wanted), limit + 1
            )
            ids = [row["id"] for row in rows[:limit]]
            answers = await browsing.answers(c, run_id, ids, number, MOST_CHARS)
        return answer(
            {
                "object": "list",
                "iteration": number,
                "data": [_shown(row, answers[row["id"]]) for row in rows[:limit]],
                "next_cursor": _cursor(rows[limit - 1], wanted) if len(rows) > limit else None,
            }
        )

    return routes


def _shown(row: JsonObject, answers: JsonObject) -> JsonObject:
    told = {f"{role}_answer": answers.get(role) for role in ("teacher", "student")}
    return public({**row, **told, "image": picture_of(row["image"])})


def _cursor(last: JsonObject, wanted: Filter) -> str:
    return f"{last['id']}~{last['difficulty']}" if wanted.is_by_difficulty else str(last["id"])


def _place(cursor: str | None, wanted: Filter) -> Place | None:
    if cursor is None:
        return None
    match = CURSOR.fullmatch(cursor)
    if match is None or int(match[1]) >= 2**63 or wanted.is_by_difficulty != (match[2] is not None):
        raise BadRequest(
            f"cursor: expected the next_cursor of an earlier page, got {cursor!r}", param="cursor"
        )
    return Place(int(match[1]), float(match[2]) if match[2] else None)
