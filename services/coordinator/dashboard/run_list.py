"""`/`: the runs, with where each stands, what it learnt and cost, and buttons to start, pause, resume and cancel."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.coordinator.api.control import ask_again, become, begin
from services.coordinator.api.frame import Desk, asked_by
from services.coordinator.costs import in_currency
from services.coordinator.dashboard.pages import HEADERS, Pages
from services.coordinator.repositories import overview
from services.coordinator.states import RUN_TRANSITIONS, RunStatus
from shared.errors import NotFound
from shared.types import JsonObject

AT_ONCE = 50
NO_PROGRESS = dict.fromkeys(
    ("phase", "done", "total", "unit", "rate", "time_left_s", "waiting", "loss", "learning_rate")
)
BECOMES: dict[str, RunStatus] = {"pause": "paused", "resume": "running", "cancel": "cancelled"}


def router(pages: Pages, desk: Desk) -> APIRouter:
    routes = APIRouter(include_in_schema=False, route_class=pages.route_class())

    @routes.get("/")
    async def all_runs(request: Request, skip: Annotated[int, Query(ge=0, le=1_000_000)] = 0) -> Response:
        async with desk.engine.connect() as c:
            cards = await overview.cards(c, AT_ONCE + 1, skip)
        name = "run_list.html" if "hx-request" in request.headers else "runs.html"
        return pages.answer(
            name,
            request,
            runs=[seen(card) for card in cards[:AT_ONCE]],
            skip=skip,
            at_once=AT_ONCE,
            has_more=len(cards) > AT_ONCE,
        )

    @routes.post("/runs/{run_id}/{action}")
    async def control(
        run_id: str, action: str, request: Request, target: Annotated[int, Query(ge=0, le=2**31)] = 0
    ) -> Response:
        """The page is loaded again, as the run is now. `target` is the page's: a second click starts nothing twice."""
        if action == "start":
            await begin(desk, run_id, None, asked_by(request), f"dashboard, from target {target}")
        elif action == "retry":
            await ask_again(desk, run_id, asked_by(request))
        elif action in BECOMES:
            await become(desk, run_id, BECOMES[action], asked_by(request))
        else:
            raise NotFound(
                f"there is no action {action[:40]!r}; there are start, retry, {', '.join(BECOMES)}"
            )
        return Response(status_code=204, headers={**HEADERS, "hx-refresh": "true"})

    return routes


def seen(run: JsonObject) -> JsonObject:
    """A run with what is shown of it besides: its present progress, its cost, and what can be asked of it."""
    progress = run["progress"] if run["progress"].get("phase") == run["phase"] else {}
    return {
        **run,
        "progress": {**NO_PROGRESS, **(progress if run["status"] in {"running", "paused"} else {})},
        "spent": in_currency(run["cost_nanos"]) if "cost_nanos" in run else None,
        "currency": run["config"]["currency"],
        "actions": actions(run["status"]),
    }


def actions(status: RunStatus) -> list[str]:
    """The buttons of a run in this state."""
    after = RUN_TRANSITIONS[status]
    found = []
    if "running" in after:
        found.append("resume" if status in {"paused", "failed"} else "start")
    if status == "finished":  # nothing goes on that could be cancelled
        return found
    return [*found, *(name for name in ("pause", "cancel") if BECOMES[name] in after)]
