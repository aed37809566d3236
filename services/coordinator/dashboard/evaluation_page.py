"""`/evaluations/{id}`: one evaluation: its progress while it goes on, its table, and what its questions came to."""

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api.evaluations import evaluation_or_404
from services.coordinator.api.frame import Desk
from services.coordinator.api.usage import usage_of_run
from services.coordinator.dashboard.evaluations import shown
from services.coordinator.dashboard.pages import Pages
from services.coordinator.dashboard.run_list import actions
from services.coordinator.repositories import benchmarks, evaluations, failures, runs
from services.coordinator.score_tables import score_table
from shared.types import JsonObject

GOES_ON = {"created", "running", "paused"}
OUTCOMES = {  # in the order of the page, and what each means
    "right": "right",
    "wrong": "wrong",
    "unreadable": "unreadable",
    "judged": "judged",
    "failed": "failed",
    "open": "not asked yet",
}


def router(pages: Pages, desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/evaluations", include_in_schema=False, route_class=pages.route_class())

    @routes.get("/{evaluation_id}")
    async def page(evaluation_id: str, request: Request) -> Response:
        return pages.answer("evaluation.html", request, **await _stand(desk, evaluation_id))

    @routes.get("/{evaluation_id}/live")
    async def live(evaluation_id: str, request: Request) -> Response:
        """The page's content again; while the evaluation goes on, it asks for itself."""
        return pages.answer("evaluation_live.html", request, **await _stand(desk, evaluation_id))

    return routes


async def _stand(desk: Desk, evaluation_id: str) -> JsonObject:
    async with desk.engine.connect() as c:
        row = await evaluation_or_404(c, evaluation_id)
        counts = await evaluations.counts(c, evaluation_id)
        run = await runs.view(c, evaluation_id)
        assert run is not None, "an evaluation is a run"
        return {
            "one": {**shown(row), "target": run["target"], "actions": _actions(row["status"])},
            "benchmark": await benchmarks.get(c, row["benchmark"]),
            "table": score_table([row]),
            "outcomes": [(name, said, counts[name]) for name, said in OUTCOMES.items() if counts.get(name)],
            "retryable": await _retryable(c, run),
            "usage": await usage_of_run(c, run),
            "goes_on": row["status"] in GOES_ON,
        }


def _actions(status: str) -> list[str]:
    """Those of a run, but that nothing more is measured by one that is over."""
    return [action for action in actions(status) if action != "start"]  # type: ignore[arg-type]


async def _retryable(c: AsyncConnection, run: JsonObject) -> int:
    """How many questions a retry would ask again just now."""
    if run["status"] not in {"running", "paused"} or run["phase"] != "measuring":
        return 0
    return await failures.num_retryable(c, run["id"], 0, "measuring")
