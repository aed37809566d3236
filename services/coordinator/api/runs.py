"""`/v1/runs`: create, look, ask for trainings, pause, resume, cancel."""

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api import shapes
from services.coordinator.api.frame import Asked, Desk, DocumentedAs, answer, run_or_404
from services.coordinator.api.probing import check_engine, has_pictures
from services.coordinator.api.streams import EventStream, one_stream
from services.coordinator.api.usage import of_iteration, run_view, usage_of_run
from services.coordinator.events import follow
from services.coordinator.repositories import datasets, iterations, runs
from services.coordinator.run_config import RunConfig, parse_run_config
from services.coordinator.states import RunStatus, check_transition
from shared.errors import Conflict, NotFound, Unprocessable
from shared.types import WholeNumber


class RunRequest(Asked):
    name: str = Field(min_length=1, max_length=100)
    dataset: str
    config: Annotated[dict[str, Any], DocumentedAs(RunConfig)] = Field(default_factory=dict)


class MoreTrainings(Asked):
    count: Annotated[WholeNumber, Field(ge=1, le=1000)] | None = Field(
        None, description="default: the configuration's `trainings`"
    )


def router(desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/v1/runs", tags=["runs"])
    _add_creation(routes, desk)
    _add_views(routes, desk)
    _add_control(routes, desk)
    return routes


def _add_creation(routes: APIRouter, desk: Desk) -> None:
    @routes.post("", status_code=201, response_model=shapes.Run)
    async def create(asked: RunRequest) -> Response:
        config = parse_run_config(asked.config)
        engines = {role: spec.model_dump() for role, spec in config.engines().items()}
        with_picture = await has_pictures(desk.engine, asked.dataset)
        for role, spec in config.engines().items():
            await check_engine(desk.services, role, spec, with_picture=with_picture)
        run_id = f"run-{secrets.token_hex(6)}"
        async with desk.engine.begin() as c:
            await _check_datasets(c, asked.dataset, config)
            await runs.create(c, run_id, asked.name, asked.dataset, config.model_dump(), engines)
            return answer(await run_view(c, run_id), 201)


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

    @routes.get("/{run_id}/events", response_class=EventStream, dependencies=[one_stream(desk.streams)])
    async def events(run_id: str) -> EventStream:
        """Server-sent events: `run` whenever status, iteration, phase or progress change, until the run's end."""
        async with desk.engine.connect() as c:
            await run_or_404(c, run_id)
        return EventStream(
            follow(desk.engine, run_id),
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )


def _add_control(routes: APIRouter, desk: Desk) -> None:
    """Ask for trainings, pause, resume, cancel."""

    @routes.post("/{run_id}/iterations", status_code=202, response_model=shapes.Run)
    async def start(
        run_id: str,
        asked: MoreTrainings,
        idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
    ) -> Response:
        """Adds trainings to the target and starts. The same Idempotency-Key again changes nothing."""
        async with desk.engine.begin() as c:
            run = await run_or_404(c, run_id, for_update=True)
            count = asked.count or RunConfig.model_validate(run["config"]).trainings
            if idempotency_key is None or not await _is_repeat(c, run_id, idempotency_key, count):
                if run["status"] != "running":
                    check_transition(run["status"], "running")
                    await runs.set_status(c, run_id, "running")
                await runs.add_trainings(c, run_id, count)
            return answer(await run_view(c, run_id), 202)

    @routes.post("/{run_id}/pause", response_model=shapes.Run)
    async def pause(run_id: str) -> Response:
        """Tasks in flight are given up; what is committed stays."""
        return await _set(desk, run_id, "paused")

    @routes.post("/{run_id}/resume", response_model=shapes.Run)
    async def resume(run_id: str) -> Response:
        """A paused run goes on where it was; a failed one tries the step that failed again."""
        return await _set(desk, run_id, "running")

    @routes.post("/{run_id}/cancel", response_model=shapes.Run)
    async def cancel(run_id: str) -> Response:
        """For good; what was found so far stays readable."""
        return await _set(desk, run_id, "cancelled")


async def _set(desk: Desk, run_id: str, status: RunStatus) -> Response:
    async with desk.engine.begin() as c:
        run = await run_or_404(c, run_id, for_update=True)
        if run["status"] != status:
            if status == "running" and run["status"] not in {"paused", "failed"}:
                raise Conflict(f"run {run_id} is {run['status']}; only a paused or failed run can be resumed")
            check_transition(run["status"], status)
            await runs.set_status(c, run_id, status)
        return answer(await run_view(c, run_id))


async def _is_repeat(c: AsyncConnection, run_id: str, key: str, count: int) -> bool:
    body = {"count": count}
    known = await runs.honoured(c, run_id, key)
    if known is None:
        await runs.honour(c, run_id, key, body)
    elif known != body:
        raise Conflict(f"Idempotency-Key {key!r} was used for another request ({known})")
    return known is not None


async def _check_datasets(c: AsyncConnection, dataset: str, config: RunConfig) -> None:
    wanted = {"instruct": dataset}
    if config.pretraining:
        wanted["pretrain"] = config.pretraining.dataset
    if config.evaluation:
        wanted["evaluation"] = config.evaluation.dataset
    for purpose, name in wanted.items():
        found = await datasets.get(c, name)
        if found is None:
            raise Unprocessable(f"there is no data set {name!r}; register it first (comd data import)")
        if found["purpose"] != purpose:
            raise Unprocessable(
                f"data set {name!r} was registered with the purpose {found['purpose']!r}, "
                f"but {purpose!r} is needed here; register it again under another name with that purpose"
            )
