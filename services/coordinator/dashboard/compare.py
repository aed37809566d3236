"""`/compare`: two runs beside each other, iteration by iteration, with the settings that differ."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api.frame import Desk
from services.coordinator.api.usage import of_iteration, usage_of_run
from services.coordinator.dashboard import wording
from services.coordinator.dashboard.compare_charts import Names, by_iteration, curves, differing
from services.coordinator.dashboard.pages import Pages
from services.coordinator.dashboard.run_page import run_of
from services.coordinator.repositories import flips, iterations, overview
from shared.types import JsonObject

COLUMNS = (  # of an iteration, and how it is shown
    ("heldout_accuracy", wording.share),
    ("train_loss", partial(wording.decimal, digits=3)),
    ("mean_difficulty", partial(wording.decimal, digits=3)),
    ("difficult", wording.count),
    ("accepted", wording.count),
    ("spent", partial(wording.decimal, digits=4)),
)
OFFERED = 200  # the newest runs
Run = Annotated[str, Query(max_length=100)]


def router(pages: Pages, desk: Desk) -> APIRouter:
    routes = APIRouter(include_in_schema=False, route_class=pages.route_class())

    @routes.get("/compare")
    async def page(request: Request, a: Run = "", b: Run = "") -> Response:
        async with desk.engine.connect() as c:
            offered = await overview.cards(c, OFFERED)
            runs = [await run_of(c, one) if one else None for one in (a, b)]
            sides = [await _rounds(c, run) if run else [] for run in runs]
            first, second = runs
            common = await _newest_common(c, first, second) if first and second else None
        view: dict[str, Any] = {"offered": offered, "a": first, "b": second}
        if first is None or second is None:
            return pages.answer("compare.html", request, **view, names=None)
        names, rounds = names_of(first, second), by_iteration(*sides)
        return pages.answer(
            "compare.html",
            request,
            **view,
            names=names,
            rounds=rounds,
            columns=COLUMNS,
            curves=curves(names, rounds),
            settings=differing(_said(first), _said(second)),
            common=common,
        )

    return routes


def names_of(a: JsonObject, b: JsonObject) -> Names:
    """As people call them; by their ids where that is the same."""
    return (a["name"], b["name"]) if a["name"] != b["name"] else (a["id"], b["id"])


def _said(run: JsonObject) -> JsonObject:
    """What was asked of the run, with the engines that it has by now."""
    engines = {role: {"engine": spec} for role, spec in run["engines"].items()}
    config = dict(run["config"])
    for role in ("teacher", "assessor", "augmentor"):
        config[role] = {**config[role], "engine": None, **engines.get(role, {})}
    return {"data set": run["dataset"], **config}


async def _rounds(c: AsyncConnection, run: JsonObject) -> list[JsonObject]:
    usage = await usage_of_run(c, run)
    rows = await iterations.everything(c, run["id"])
    return [{**row, "spent": of_iteration(usage, row["number"])["spent"]} for row in rows]


async def _newest_common(c: AsyncConnection, a: JsonObject, b: JsonObject) -> int | None:
    """The last iteration that was assessed in both."""
    both = {*await flips.assessed(c, a["id"])} & {*await flips.assessed(c, b["id"])}
    return max(both, default=None)
