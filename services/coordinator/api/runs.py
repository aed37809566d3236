"""`/v1/runs`: create and look; the rest of a run's routes are beside this file."""

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from services.coordinator.api import branching, control, flips, heldout, history, shapes
from services.coordinator.api.frame import Asked, Desk, DocumentedAs, answer, asked_by, run_or_404
from services.coordinator.api.probing import check_datasets, check_engine, has_pictures
from services.coordinator.api.streams import EventStream, one_stream
from services.coordinator.api.usage import of_iteration, run_view, usage_of_run
from services.coordinator.events import follow
from services.coordinator.repositories import iterations, runs, training_points
from services.coordinator.run_config import RunConfig, parse_run_config
from services.coordinator.tracking.trackers import check_installed
from shared.errors import NotFound
from shared.types import JsonObject


class RunRequest(Asked):
    name: str = Field(min_length=1, max_length=100)
    dataset: str
    config: Annotated[dict[str, Any], DocumentedAs(RunConfig)] = Field(default_factory=dict)


def router(desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/v1/runs", tags=["runs"])
    _add_creation(routes, desk)
    _add_views(routes, desk)
    control.add_control(routes, desk)
    history.add_history(routes, desk)
    branching.add_branching(routes, desk)
    flips.add_flips(routes, desk)
    heldout.add_heldout(routes, desk)
    return routes


def _add_creation(routes: APIRouter, desk: Desk) -> None:
    @routes.post("", status_code=201, response_model=shapes.Run)
    async def create(asked: RunRequest, request: Request) -> Response:
        return answer(await create_run(desk, asked, asked_by(request)), 201)


async def create_run(desk: Desk, asked: RunRequest, cause: str) -> JsonObject:
    """A new run, not started; Unprocessable where its settings, data sets or engines will not do."""
    config = parse_run_config(asked.config)
    check_installed(config.tracking)
    engines = {role: spec.model_dump() for role, spec in config.engines().items()}
    with_picture = await has_pictures(desk.engine, asked.dataset)
    for role, spec in config.engines().items():
        await check_engine(desk.services, role, spec, with_picture=with_picture)
    run_id = f"run-{secrets.token_hex(6)}"
    async with desk.engine.begin() as c:
        await check_datasets(c, asked.dataset, config)
        await runs.create(c, run_id, asked.name, asked.dataset, config.model_dump(), engines, cause)
        return await run_view(c, run_id)


def _add_views(routes: APIRouter, desk: Desk) -> None:
    """Runs and iterations as they stand, once or as they change."""

    @routes.get("", response_model=shapes.RunList)
    async def everything() -> Response:
        async with desk.engine.connect() as c:
            return answer({"object": "list", "data": await runs.everything(c)})

    @routes.get("/{run_id}", response_model=shapes.Run)
    async def one(run_id: str) -> Response:
        async with desk.engine.connect() as c:
            return answer(await run_view(c, run_id))

    @routes.get("/{run_id}/iterations", response_model=shapes.IterationList)
    async def all_iterations(run_id: str) -> Response:
        async with desk.engine.connect() as c:
            usage = await usage_of_run(c, await run_or_404(c, run_id))
            rows = await iterations.everything(c, run_id)
        data = [{**row, "usage": of_iteration(usage, row["number"])} for row in rows]
        return answer({"object": "list", "data": data})

    @routes.get("/{run_id}/iterations/{number}", response_model=shapes.Iteration)
    async def one_iteration(run_id: str, number: int) -> Response:
        async with desk.engine.connect() as c:
            usage = await usage_of_run(c, await run_or_404(c, run_id))
            found = await iterations.get(c, run_id, number)
        if found is None:
            raise NotFound(f"run {run_id} has no iteration {number} yet")
        return answer({**found, "usage": of_iteration(usage, number)})

    @routes.get("/{run_id}/iterations/{number}/curve", response_model=shapes.Curve)
    async def curve(run_id: str, number: int) -> Response:
        """Loss and learning rate of every step of the iteration's training, oldest first; it grows while it trains."""
        async with desk.engine.connect() as c:
            await run_or_404(c, run_id)
            if await iterations.get(c, run_id, number) is None:
                raise NotFound(f"run {run_id} has no iteration {number} yet")
            return answer({"object": "list", "data": await training_points.curve(c, run_id, number)})

    @routes.get("/{run_id}/events", response_class=EventStream, dependencies=[one_stream(desk.streams)])
    async def events(run_id: str) -> EventStream:
        """Server-sent events: `run` whenever status, iteration, phase or progress change, until the run's end."""
        async with desk.engine.connect() as c:
            await run_or_404(c, run_id)
        return EventStream(
            follow(desk.engine, run_id),
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )
