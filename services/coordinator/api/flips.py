"""`GET /v1/runs/{id}/flips`: what one assessment called difficult and another easy, or the other way round."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api import shapes
from services.coordinator.api.frame import Desk, answer, run_or_404
from services.coordinator.merge import picture_of
from services.coordinator.repositories import browsing, flips, iterations
from services.coordinator.repositories.flips import JUDGED, Assessment, Kind, Pair
from shared.errors import NotFound
from shared.types import JsonObject

ANSWER_CHARS = 4000  # the instruction's own route has the whole
Iteration = Annotated[int, Query(ge=1, le=2**31)]


def add_flips(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/{run_id}/flips", response_model=shapes.FlipPage)
    async def page(
        run_id: str,
        before: Annotated[Iteration, Query(alias="from")],
        after: Annotated[Iteration, Query(alias="to")],
        other: Annotated[str | None, Query(description="the run of `to`; default: the same")] = None,
        kind: Kind | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[
            str | None, Query(pattern=r"^[0-9]{1,19}$", description="an earlier next_cursor")
        ] = None,
    ) -> Response:
        """Learnt: difficult in `from` and easy in `to`; forgotten: the other way round. In the order of ids."""
        async with desk.engine.connect() as c:
            pair = await pair_of(c, run_id, before, other or run_id, after)
            rows = await flips.page(c, pair, kind, int(cursor or -1), limit + 1)
            data = await with_answers(c, pair, rows[:limit], ANSWER_CHARS)
        more = str(rows[limit - 1]["id"]) if len(rows) > limit else None
        return answer({"object": "list", "data": data, "next_cursor": more})


async def pair_of(c: AsyncConnection, run_id: str, before: int, other: str, after: int) -> Pair:
    """Both assessments; NotFound where there is no such run or iteration."""
    return Pair(await _assessment(c, run_id, before), await _assessment(c, other, after))


async def _assessment(c: AsyncConnection, run_id: str, number: int) -> Assessment:
    run = await run_or_404(c, run_id)
    if await iterations.get(c, run_id, number) is None:
        raise NotFound(f"run {run_id} has no iteration {number} yet")
    return Assessment(run_id, number, run["config"]["tau"])


async def with_answers(
    c: AsyncConnection, pair: Pair, rows: list[JsonObject], num_chars: int
) -> list[JsonObject]:
    """The rows as people and clients see them: on either side scores, difficulty and the answers' beginnings."""
    ids = [row["id"] for row in rows]
    sides = {
        name: await browsing.answers(c, one.run_id, ids, one.iteration, num_chars)
        for name, one in (("before", pair.before), ("after", pair.after))
    }
    return [
        {
            "id": str(row["id"]),
            "kind": row["kind"],
            "text": row["text"],
            "image": picture_of(row["image"]),
            "task_type": row["task_type"],
            "origin": row["origin"],
            "born_in": row["born_in"],
            **{
                name: {
                    **{what: row[f"{name}_{what}"] for what in JUDGED},
                    "teacher_answer": answers[row["id"]].get("teacher"),
                    "student_answer": answers[row["id"]].get("student"),
                }
                for name, answers in sides.items()
            },
        }
        for row in rows
    ]
