"""What happened to a run: the entries of its log, by pages."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from services.coordinator.api.frame import Desk, answer, run_or_404
from services.coordinator.repositories import event_log
from shared.types import JsonObject

Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[int, Query(ge=0, le=2**63 - 1, description="an entry's id; what came later is shown")]


def add_history(routes: APIRouter, desk: Desk) -> None:
    """Of one run, below `/v1/runs`."""

    @routes.get("/{run_id}/log")
    async def log(run_id: str, after: After = 0, limit: Limit = 100) -> Response:
        """Every change of the run's state, the oldest first; `next_cursor` is null on the last page."""
        async with desk.engine.connect() as c:
            await run_or_404(c, run_id)
            return answer(_page(await event_log.page(c, run_id, after, limit + 1), limit))


def add_log(routes: APIRouter, desk: Desk) -> None:
    """Of all runs and of the system, below `/v1`."""

    @routes.get("/log")
    async def log(after: After = 0, limit: Limit = 100) -> Response:
        """The changes of all runs and those of the system itself (a new leader, say), the oldest first."""
        async with desk.engine.connect() as c:
            return answer(_page(await event_log.page(c, None, after, limit + 1), limit))


def _page(rows: list[JsonObject], limit: int) -> dict[str, Any]:
    """`next_cursor` is the `after` of the next page."""
    more = len(rows) > limit
    return {"object": "list", "data": rows[:limit], "next_cursor": rows[limit - 1]["id"] if more else None}
