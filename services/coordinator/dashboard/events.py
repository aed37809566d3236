"""`/runs/{id}/events` and `/events`: the log of a run, and of the whole system, the newest first, by pages."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from services.coordinator.api.frame import Desk
from services.coordinator.dashboard.pages import Pages
from services.coordinator.dashboard.run_page import run_of
from services.coordinator.repositories import event_log
from services.coordinator.repositories.event_log import LATEST

AT_ONCE = 50
Word = Annotated[str, Query(max_length=200)]
Before = Annotated[int, Query(ge=0, le=LATEST)]


def router(pages: Pages, desk: Desk) -> APIRouter:
    routes = APIRouter(include_in_schema=False, route_class=pages.route_class())

    @routes.get("/events")
    async def of_all(
        request: Request, action: Word = "", cause: Word = "", before: Before = LATEST
    ) -> Response:
        return await page(request, None, action, cause, before)

    @routes.get("/runs/{run_id}/events")
    async def of_run(
        run_id: str, request: Request, action: Word = "", cause: Word = "", before: Before = LATEST
    ) -> Response:
        return await page(request, run_id, action, cause, before)

    async def page(request: Request, of: str | None, action: str, cause: str, before: int) -> Response:
        async with desk.engine.connect() as c:
            run = await run_of(c, of) if of else None
            run_id = run["id"] if run else None
            actions = await event_log.actions(c, run_id)
            said = cause.strip() or None
            rows = await event_log.back(c, run_id, before, action or None, said, AT_ONCE + 1)
        asked = {name: value for name, value in {"action": action, "cause": cause}.items() if value}
        more = urlencode({**asked, "before": rows[AT_ONCE - 1]["id"]}) if len(rows) > AT_ONCE else None
        return pages.answer(
            "events.html",
            request,
            run=run,
            actions=actions,
            action=action,
            cause=cause,
            entries=rows[:AT_ONCE],
            first_page=f"?{urlencode(asked)}" if before != LATEST else None,
            next_page=f"?{more}" if more else None,
        )

    return routes
