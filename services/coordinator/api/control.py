"""Control of a run: ask for trainings, pause, resume, cancel, retry. The log tells who asked for each."""

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api import shapes
from services.coordinator.api.frame import Asked, Desk, answer, asked_by, check_trains, run_or_404
from services.coordinator.api.usage import run_view
from services.coordinator.repositories import evaluations, event_log, failures, iterations, runs
from services.coordinator.run_config import RunConfig
from services.coordinator.states import RunStatus
from shared.errors import Conflict
from shared.types import JsonObject, WholeNumber

FOLLOW: dict[RunStatus, tuple[RunStatus, ...]] = {  # evaluations that the run began, in these statuses
    "paused": ("running",),
    "running": ("paused",),
    "cancelled": ("created", "running", "paused", "failed"),
}


class MoreTrainings(Asked):
    count: Annotated[WholeNumber, Field(ge=1, le=1000)] | None = Field(
        None, description="default: the configuration's `trainings`"
    )


def add_control(routes: APIRouter, desk: Desk) -> None:
    @routes.post("/{run_id}/iterations", status_code=202, response_model=shapes.Run)
    async def start(
        run_id: str,
        asked: MoreTrainings,
        request: Request,
        idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
    ) -> Response:
        """Adds trainings to the target and starts. The same Idempotency-Key again changes nothing."""
        return answer(await begin(desk, run_id, asked.count, asked_by(request), idempotency_key), 202)

    @routes.post("/{run_id}/pause", response_model=shapes.Run)
    async def pause(run_id: str, request: Request) -> Response:
        """No new call is begun; what is in flight is waited for and kept."""
        return answer(await become(desk, run_id, "paused", asked_by(request)))

    @routes.post("/{run_id}/resume", response_model=shapes.Run)
    async def resume(run_id: str, request: Request) -> Response:
        """A paused run goes on where it was; a failed one tries the step that failed again."""
        return answer(await become(desk, run_id, "running", asked_by(request)))

    @routes.post("/{run_id}/cancel", response_model=shapes.Run)
    async def cancel(run_id: str, request: Request) -> Response:
        """For good; what was found so far stays readable."""
        return answer(await become(desk, run_id, "cancelled", asked_by(request)))

    @routes.post("/{run_id}/retry", response_model=shapes.Run)
    async def retry(run_id: str, request: Request) -> Response:
        """What failed in the present phase is asked again; a run that was paused to ask about it goes on."""
        return answer(await ask_again(desk, run_id, asked_by(request)))


async def ask_again(desk: Desk, run_id: str, cause: str) -> JsonObject:
    """The run, with what failed in its present phase open again; Conflict where nothing did."""
    async with desk.engine.begin() as c:
        run = await run_or_404(c, run_id, for_update=True)
        await _retry(c, run, cause)
        return await run_view(c, run_id)


async def _retry(c: AsyncConnection, run: JsonObject, cause: str) -> None:
    iteration = await iterations.newest(c, run["id"])
    if run["status"] not in {"running", "paused"} or iteration is None:
        raise Conflict(
            f"run {run['id']} is {run['status']}; only a running or paused run can retry what failed"
        )
    number, phase = iteration["number"], iteration["phase"]
    num_items = await failures.num_retryable(c, run["id"], number, phase)
    if num_items == 0:
        raise Conflict(
            f"run {run['id']} is in iteration {number}, {phase}, and nothing failed there; what failed in an earlier "
            "phase was gone on without and stays so (GET /v1/runs/{id}/failures lists it)"
        )
    await failures.forget(c, run["id"], number, phase)
    await iterations.renew(c, run["id"], number, phase)
    await event_log.record(c, run["id"], "retry", cause, iteration=number, phase=phase, items=num_items)
    if run["status"] == "paused" and phase in iteration["endings"]:
        await runs.set_status(c, run["id"], "running", cause=cause)


async def begin(
    desk: Desk, run_id: str, count: int | None, cause: str, idempotency_key: str | None
) -> JsonObject:
    """The run with trainings added (its configuration's number where none is given), on its way."""
    async with desk.engine.begin() as c:
        run = await run_or_404(c, run_id, for_update=True)
        check_trains(run)
        num = count or RunConfig.model_validate(run["config"]).trainings
        if idempotency_key is None or not await _is_repeat(c, run_id, idempotency_key, num):
            await runs.add_trainings(c, run_id, num, cause)
            if run["status"] != "running":
                await runs.set_status(c, run_id, "running", cause=cause)
        return await run_view(c, run_id)


async def become(desk: Desk, run_id: str, status: RunStatus, cause: str) -> JsonObject:
    """The run in the status that was asked for; Conflict where it cannot come to it."""
    async with desk.engine.begin() as c:
        run = await run_or_404(c, run_id, for_update=True)
        if run["status"] != status:
            if status == "running" and run["status"] not in {"paused", "failed"}:
                raise Conflict(f"run {run_id} is {run['status']}; only a paused or failed run can be resumed")
            await runs.set_status(c, run_id, status, cause=cause)
            for follower in await evaluations.followers(c, run_id, FOLLOW.get(status, ())):
                await runs.set_status(c, follower, status, cause=cause)
        return await run_view(c, run_id)


async def _is_repeat(c: AsyncConnection, run_id: str, key: str, count: int) -> bool:
    body = {"count": count}
    known = await runs.honoured(c, run_id, key)
    if known is None:
        await runs.honour(c, run_id, key, body)
    elif known != body:
        raise Conflict(f"Idempotency-Key {key!r} was used for another request ({known})")
    return known is not None
