"""`/runs/{id}/failures`: what failed for good and why, by iteration and phase, its commonest reasons, and by pages."""

from typing import Annotated, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api.frame import Desk
from services.coordinator.api.history import cursor_of, place_of
from services.coordinator.dashboard.instructions import Number
from services.coordinator.dashboard.pages import Pages
from services.coordinator.dashboard.run_page import run_of
from services.coordinator.merge import picture_of
from services.coordinator.repositories import failures
from services.coordinator.repositories.failures import Place
from services.coordinator.states import TASKED, Phase
from shared.errors import BadRequest
from shared.types import JsonObject

AT_ONCE, NUM_REASONS = 50, 12
PHASES: tuple[Phase, ...] = get_args(Phase)


def router(pages: Pages, desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/runs", include_in_schema=False, route_class=pages.route_class())

    @routes.get("/{run_id}/failures")
    async def page(
        run_id: str,
        request: Request,
        iteration: Number = "",
        phase: Annotated[str, Query(max_length=20)] = "",
        after: Annotated[str, Query(max_length=300)] = "",
    ) -> Response:
        if phase and phase not in TASKED:
            raise BadRequest(
                f"phase: expected one of {', '.join(sorted(TASKED))}, got {phase!r}", param="phase"
            )
        number, place = int(iteration) if iteration else None, place_of(after) if after else Place()
        async with desk.engine.connect() as c:
            run = await run_of(c, run_id)
            rows = await failures.page(c, run["id"], number, phase or None, place, AT_ONCE + 1)
            counts = await failures.counts(c, run["id"])
            reasons = await failures.reasons(c, run["id"], number, phase or None, NUM_REASONS)
            retryable = await _retryable(c, run)
        asked = {"iteration": iteration, "phase": phase}
        return pages.answer(
            "failures.html",
            request,
            run=run,
            wanted=asked,
            counts=counts,
            reasons=reasons,
            retryable=retryable,
            phases=[one for one in PHASES if one in TASKED],
            failures=[{**row, "picture": picture_of(row["image"])} for row in rows[:AT_ONCE]],
            first_page=f"?{_query(asked)}" if after else None,
            next_page=f"?{_query(asked, cursor_of(rows[AT_ONCE - 1]))}" if len(rows) > AT_ONCE else None,
        )

    return routes


async def _retryable(c: AsyncConnection, run: JsonObject) -> int:
    """How many items a retry would ask again just now."""
    if run["status"] not in {"running", "paused"} or run["phase"] is None:
        return 0
    return await failures.num_retryable(c, run["id"], run["iteration"], run["phase"])


def _query(asked: dict[str, str], after: str = "") -> str:
    return urlencode({name: value for name, value in {**asked, "after": after}.items() if value})
