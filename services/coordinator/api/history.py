"""What happened to a run, by pages: the entries of its log, and what failed for good."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from services.coordinator.api import shapes
from services.coordinator.api.frame import Desk, answer, public, run_or_404
from services.coordinator.merge import picture_of
from services.coordinator.repositories import event_log, failures
from services.coordinator.repositories.failures import Place
from services.coordinator.states import Phase
from shared.errors import BadRequest
from shared.types import JsonObject

Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[int, Query(ge=0, le=2**63 - 1, description="an entry's id; what came later is shown")]


def add_history(routes: APIRouter, desk: Desk) -> None:
    """Of one run, below `/v1/runs`."""

    @routes.get("/{run_id}/log", response_model=shapes.Log)
    async def log(run_id: str, after: After = 0, limit: Limit = 100) -> Response:
        """Every change of the run's state, the oldest first; `next_cursor` is null on the last page."""
        async with desk.engine.connect() as c:
            await run_or_404(c, run_id)
            return answer(_page(await event_log.page(c, run_id, after, limit + 1), limit))

    @routes.get("/{run_id}/failures", response_model=shapes.FailurePage)
    async def all_failures(
        run_id: str,
        iteration: Annotated[int | None, Query(ge=0, le=2**31)] = None,
        phase: Phase | None = None,
        limit: Limit = 100,
        cursor: str | None = None,
    ) -> Response:
        """What could not be done, and why. `instruction_id` is null where it concerns the whole image."""
        after = Place() if cursor is None else place_of(cursor)
        async with desk.engine.connect() as c:
            await run_or_404(c, run_id)
            counts = await failures.counts(c, run_id)
            rows = await failures.page(c, run_id, iteration, phase, after, limit + 1)
        return answer(
            {
                "object": "list",
                "counts": counts,
                "data": [_shown(row) for row in rows[:limit]],
                "next_cursor": cursor_of(rows[limit - 1]) if len(rows) > limit else None,
            }
        )


def _shown(row: JsonObject) -> JsonObject:
    return public({**row, "image": picture_of(row["image"]), "instruction_id": row["instruction_id"] or None})


def cursor_of(row: JsonObject) -> str:
    return f"{row['iteration']}~{row['phase']}~{row['instruction_id']}~{row['image']}"


def place_of(cursor: str) -> Place:
    match = re.fullmatch(r"(\d{1,9})~(\w+)~(\d{1,19})~([^\x00]+)", cursor, re.ASCII)
    if match is None or int(match[3]) >= 2**63:
        raise BadRequest(f"cursor: expected the next_cursor of an earlier page, got {cursor!r}")
    iteration, phase, instruction_id, image = match.groups()
    return Place(int(iteration), phase, image, int(instruction_id))


def add_log(routes: APIRouter, desk: Desk) -> None:
    """Of all runs and of the system, below `/v1`."""

    @routes.get("/log", response_model=shapes.Log)
    async def log(after: After = 0, limit: Limit = 100) -> Response:
        """The changes of all runs and those of the system itself (a new leader, say), the oldest first."""
        async with desk.engine.connect() as c:
            return answer(_page(await event_log.page(c, None, after, limit + 1), limit))


def _page(rows: list[JsonObject], limit: int) -> dict[str, Any]:
    """`next_cursor` is the `after` of the next page."""
    more = len(rows) > limit
    return {"object": "list", "data": rows[:limit], "next_cursor": rows[limit - 1]["id"] if more else None}
