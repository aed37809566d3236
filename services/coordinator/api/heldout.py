"""`GET /v1/runs/{id}/iterations/{n}/heldout`: the held-out questions with the student's answers, by pages."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from services.coordinator.api.frame import Desk, answer, public, run_or_404
from services.coordinator.api.instruction_shapes import HeldoutPage
from services.coordinator.merge import picture_of
from services.coordinator.repositories import heldout, iterations
from shared.errors import NotFound


def add_heldout(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/{run_id}/iterations/{number}/heldout", response_model=HeldoutPage)
    async def page(
        run_id: str,
        number: int,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        cursor: Annotated[
            str | None, Query(pattern=r"^[0-9]{1,19}$", description="an earlier next_cursor")
        ] = None,
    ) -> Response:
        """In the order of ids; what was not asked (yet) has null for answer and `correct`."""
        async with desk.engine.connect() as c:
            await run_or_404(c, run_id)
            if await iterations.get(c, run_id, number) is None:
                raise NotFound(f"run {run_id} has no iteration {number} yet")
            rows = await heldout.page(c, run_id, number, int(cursor or -1), limit + 1)
        more = str(rows[limit - 1]["id"]) if len(rows) > limit else None
        data = [public({**row, "image": picture_of(row["image"])}) for row in rows[:limit]]
        return answer({"object": "list", "data": data, "next_cursor": more})
