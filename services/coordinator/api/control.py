"""Control of a run: ask for trainings, pause, resume, cancel. Every change is in the log with who asked for it."""

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api.frame import Desk, answer, asked_by, run_or_404
from services.coordinator.api.usage import run_view
from services.coordinator.repositories import runs
from services.coordinator.run_config import RunConfig
from services.coordinator.states import RunStatus
from shared.errors import Conflict


class MoreTrainings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    count: int | None = Field(None, ge=1, le=1000, description="default: the configuration's `trainings`")


def add_control(routes: APIRouter, desk: Desk) -> None:
    @routes.post("/{run_id}/iterations")
    async def start(
        run_id: str,
        asked: MoreTrainings,
        request: Request,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Adds trainings to the target and starts. The same Idempotency-Key again changes nothing."""
        async with desk.engine.begin() as c:
            run = await run_or_404(c, run_id, for_update=True)
            count = asked.count or RunConfig.model_validate(run["config"]).trainings
            if idempotency_key is None or not await _is_repeat(c, run_id, idempotency_key, count):
                await runs.add_trainings(c, run_id, count, asked_by(request))
                if run["status"] != "running":
                    await runs.set_status(c, run_id, "running", cause=asked_by(request))
            return answer(await run_view(c, run_id), 202)

    @routes.post("/{run_id}/pause")
    async def pause(run_id: str, request: Request) -> Response:
        """No new call is begun; what is in flight is waited for and kept."""
        return await _set(desk, run_id, "paused", asked_by(request))

    @routes.post("/{run_id}/resume")
    async def resume(run_id: str, request: Request) -> Response:
        """A paused run goes on where it was; a failed one tries the step that failed again."""
        return await _set(desk, run_id, "running", asked_by(request))

    @routes.post("/{run_id}/cancel")
    async def cancel(run_id: str, request: Request) -> Response:
        """For good; what was found so far stays readable."""
        return await _set(desk, run_id, "cancelled", asked_by(request))


async def _set(desk: Desk, run_id: str, status: RunStatus, cause: str) -> Response:
    async with desk.engine.begin() as c:
        run = await run_or_404(c, run_id, for_update=True)
        if run["status"] != status:
            if status == "running" and run["status"] not in {"paused", "failed"}:
                raise Conflict(f"run {run_id} is {run['status']}; only a paused or failed run can be resumed")
            await runs.set_status(c, run_id, status, cause=cause)
        return answer(await run_view(c, run_id))


async def _is_repeat(c: AsyncConnection, run_id: str, key: str, count: int) -> bool:
    body = {"count": count}
    known = await runs.honoured(c, run_id, key)
    if known is None:
        await runs.honour(c, run_id, key, body)
    elif known != body:
        raise Conflict(f"Idempotency-Key {key!r} was used for another request ({known})")
    return known is not None
