"""`/runs/{id}`: one run, live: its loop, phase, curves, sums, failures and log."""

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api.frame import Desk
from services.coordinator.api.streams import EventStream, one_stream
from services.coordinator.api.usage import usage_of_run
from services.coordinator.api.views import warnings
from services.coordinator.dashboard import run_charts, training_curve
from services.coordinator.dashboard.door import Door
from services.coordinator.dashboard.findings import Findings
from services.coordinator.dashboard.loop_picture import loop
from services.coordinator.dashboard.pages import HEADERS, Pages
from services.coordinator.dashboard.run_list import seen
from services.coordinator.dashboard.score_charts import score_charts
from services.coordinator.events import ENDS, follow
from services.coordinator.merge import picture_of
from services.coordinator.repositories import (
    evaluations,
    event_log,
    failures,
    iterations,
    runs,
    training_points,
)
from services.coordinator.repositories.failures import Place
from shared.errors import NotFound, SeeOther
from shared.types import JsonObject

NUM_EVENTS, NUM_FAILURES = 20, 20
TRAINS = {"pretraining", "training"}
STREAM = {**HEADERS, "x-accel-buffering": "no"}


def router(pages: Pages, desk: Desk, door: Door) -> APIRouter:
    routes = APIRouter(prefix="/runs", include_in_schema=False, route_class=pages.route_class())
    _add_page(routes, pages, desk)
    _add_parts(routes, pages, desk)

    @routes.get("/{run_id}/live", dependencies=[one_stream(desk.streams)])
    async def live(run_id: str, request: Request) -> EventStream:
        """The page's upper part again whenever the run has changed, until its end or the session's."""
        async with desk.engine.connect() as c:
            run = await run_of(c, run_id)

        async def parts() -> AsyncIterator[bytes]:
            place = None
            async for event in follow(desk.engine, run["id"]):
                if request.scope.get("comd_session") and not await door.caller(
                    request.scope, request.headers
                ):
                    break
                if event.startswith(b":"):
                    yield event
                    continue
                async with desk.engine.connect() as c:
                    view = await _stand(c, run["id"])
                yield _message(pages.text("run_live.html", request, **view))
                before, place = place, (view["run"]["iteration"], view["run"]["phase"])
                if before not in {None, place}:
                    yield b"event: moved\ndata: \n\n"
            yield b"event: ended\ndata: \n\n"

        return EventStream(parts(), headers=STREAM)

    return routes


def _add_page(routes: APIRouter, pages: Pages, desk: Desk) -> None:
    @routes.get("/{run_id}")
    async def page(run_id: str, request: Request) -> Response:
        async with desk.engine.connect() as c:
            run = await run_of(c, run_id)
            if run["kind"] == "evaluation":
                raise SeeOther(f"/evaluations/{run['id']}")
            view = {**await _stand(c, run["id"]), **await _history(c, run)}
        return pages.answer("run.html", request, is_live=run["status"] not in ENDS, **view)


def _add_parts(routes: APIRouter, pages: Pages, desk: Desk) -> None:
    """What the page asks for by itself: the charts, since their sums may take a second, and the log as it grows."""
    known = Findings()

    @routes.get("/{run_id}/charts")
    async def charts(run_id: str, request: Request) -> Response:
        async with desk.engine.connect() as c:
            run = await run_of(c, run_id)
            rows = await iterations.everything(c, run["id"])
            measured = await evaluations.everything(c, run=run["id"])
            found = await known.of_run(c, run, rows)
        sums = {number: one.sums for number, one in found.items() if one.sums is not None}
        rejected = {number: one.rejected for number, one in found.items()}
        tau = run["config"]["tau"]
        return pages.answer(
            "run_charts.html",
            request,
            run=run,
            tau=tau,
            scores=score_charts(measured),
            curves=[*run_charts.curves(rows), *run_charts.outcomes(sums, rows, rejected)],
            distributions=[
                chart for number in sums for chart in run_charts.distributions(number, sums[number], tau)
            ],
        )

    @routes.get("/{run_id}/training")
    async def training(run_id: str, request: Request) -> Response:
        """While a training goes on, the part asks for itself again."""
        async with desk.engine.connect() as c:
            run = await run_of(c, run_id)
            points = await training_points.thinned(c, run["id"], training_curve.MOST_POINTS)
        trains = run["status"] == "running" and run["phase"] in TRAINS
        return pages.answer(
            "training.html", request, run=run, trains=trains, curves=training_curve.curves(points)
        )

    @routes.get("/{run_id}/history")
    async def history(run_id: str, request: Request) -> Response:
        async with desk.engine.connect() as c:
            run = await run_of(c, run_id)
            view = await _history(c, run)
        return pages.answer("run_history.html", request, run=run, **view)


async def run_of(c: AsyncConnection, id_or_name: str) -> JsonObject:
    """The run of this id, or the newest of this name; NotFound where there is none."""
    run = await runs.find(c, id_or_name)
    if run is None:
        raise NotFound(
            f"there is no run {id_or_name[:100]!r}; the list of runs has them all", code="run_not_found"
        )
    return run


async def _stand(c: AsyncConnection, run_id: str) -> JsonObject:
    """Where the run stands, from small tables alone."""
    run = await run_of(c, run_id)
    rows = await iterations.everything(c, run_id)
    measured = [row["heldout_accuracy"] for row in rows if row["heldout_accuracy"] is not None]
    shown = seen(run)
    has_exam = run["config"].get("evaluation") is not None or bool(run["config"].get("benchmarks"))
    return {
        "run": shown,
        "iterations": rows,
        "picture": loop(rows[-1] if rows else None, shown["progress"], has_exam=has_exam),
        "accuracies": measured,
        "usage": await usage_of_run(c, run),
        "warnings": [warning for row in rows for warning in warnings(row)],
    }


async def _history(c: AsyncConnection, run: JsonObject) -> JsonObject:
    """The last entries of its log, and the first of its failures."""
    failed = await failures.page(c, run["id"], None, None, Place(), NUM_FAILURES)
    return {
        "events": await event_log.newest(c, run["id"], NUM_EVENTS),
        "failure_counts": await failures.counts(c, run["id"]),
        "failures": [{**row, "picture": picture_of(row["image"])} for row in failed],
    }


def _message(html: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in html.splitlines())
    return f"{lines}\n".encode()
