"""`PATCH /v1/runs/{id}`: swap the engines behind a run's roles, all or none; begin an assessment anew."""

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api.frame import Desk, answer, run_or_404
from services.coordinator.api.probing import check_engine
from services.coordinator.repositories import iterations, outcomes, planning, runs
from shared.errors import Conflict
from shared.types import EngineSpec, JsonObject

ENDED = {"finished", "exhausted", "cancelled"}


class RunChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    endpoints: dict[str, EngineSpec | None] = Field(
        default_factory=dict, description="engines by role; null: the one that the role's service has itself"
    )
    restart_assessment: bool = Field(
        False, description="discard the verdicts of the assessment that goes on and fix its judge anew"
    )

    @model_validator(mode="after")
    def _changes_something(self) -> "RunChange":
        if not self.endpoints and not self.restart_assessment:
            raise ValueError("expected endpoints with at least one role, or restart_assessment")
        return self


def router(desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/v1/runs", tags=["runs"])

    @routes.patch("/{run_id}")
    async def change(run_id: str, asked: RunChange) -> Response:
        """A teacher's or augmentor's swap counts from the next task, an assessor's from the next assessment."""
        async with desk.engine.connect() as c:
            await _changeable(c, run_id)
        for role, spec in asked.endpoints.items():
            await check_engine(desk.services, role, spec)
        async with desk.engine.begin() as c:
            await _changeable(c, run_id, for_update=True)
            if asked.restart_assessment:
                await _restart_assessment(c, run_id)
            specs = {
                role: None if spec is None else spec.model_dump() for role, spec in asked.endpoints.items()
            }
            await runs.set_engines(c, run_id, specs)
            return answer(await runs.view(c, run_id))

    return routes


async def _changeable(c: AsyncConnection, run_id: str, *, for_update: bool = False) -> JsonObject:
    run = await run_or_404(c, run_id, for_update=for_update)
    if run["status"] in ENDED:
        raise Conflict(f"run {run_id} is {run['status']}; only a run that can go on takes another engine")
    return run


async def _restart_assessment(c: AsyncConnection, run_id: str) -> None:
    iteration = await iterations.newest(c, run_id)
    if iteration is None or iteration["phase"] != "assessing":
        phase = "not started" if iteration is None else iteration["phase"]
        raise Conflict(f"run {run_id} is {phase}; an assessment can begin anew only while it goes on")
    await planning.forget(c, run_id, iteration["number"], "assessing")
    await outcomes.forget_verdicts(c, run_id, iteration["number"])
