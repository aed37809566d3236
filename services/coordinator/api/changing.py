"""`PATCH /v1/runs/{id}`: swap the engines behind a run's roles, all or none; begin an assessment anew; change
prices and budget.
"""

from fastapi import APIRouter, Request, Response
from pydantic import ConfigDict, Field, model_validator
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api import shapes
from services.coordinator.api.frame import Asked, Desk, answer, asked_by, check_trains, run_or_404
from services.coordinator.api.probing import check_engine, has_pictures
from services.coordinator.api.usage import run_view
from services.coordinator.repositories import event_log, iterations, outcomes, planning, runs
from services.coordinator.run_config import MOST_MONEY, Price, RunConfig
from shared.errors import Conflict
from shared.types import EngineSpec, JsonObject, LoopRole

ENDED = {"exhausted", "cancelled"}  # a finished run may be asked for more


class RunChange(Asked):
    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    endpoints: dict[str, EngineSpec | None] = Field(
        default_factory=dict, description="engines by role; null: the one that the role's service has itself"
    )
    restart_assessment: bool = Field(
        False, description="discard the verdicts of the assessment that goes on and fix its judge anew"
    )
    prices: dict[LoopRole, Price | None] = Field(default_factory=dict, description="null takes a price away")
    budget: float | None = Field(None, ge=0, le=MOST_MONEY, description="null takes the limit away")

    @model_validator(mode="after")
    def _changes_something(self) -> "RunChange":
        if not (self.changes_engines or self.prices or "budget" in self.model_fields_set):
            raise ValueError("expected at least one of endpoints, restart_assessment, prices and budget")
        return self

    @property
    def changes_engines(self) -> bool:
        return bool(self.endpoints) or self.restart_assessment

    def config(self, before: RunConfig) -> RunConfig:
        """The run's settings with its new prices and budget."""
        after = before.with_prices(self.prices)
        return after.with_budget(self.budget) if "budget" in self.model_fields_set else after


def router(desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/v1/runs", tags=["runs"])

    @routes.patch("/{run_id}", response_model=shapes.Run)
    async def change(run_id: str, asked: RunChange, request: Request) -> Response:
        """A teacher's or augmentor's swap counts from the next task, an assessor's from the next assessment."""
        return answer(await change_run(desk, run_id, asked, asked_by(request)))

    return routes


async def change_run(desk: Desk, run_id: str, asked: RunChange, cause: str) -> JsonObject:
    """The run after the change; nothing is changed where one of the new engines cannot be used."""
    async with desk.engine.connect() as c:
        run = await run_or_404(c, run_id)
        _check(run, asked)
    with_picture = await has_pictures(desk.engine, run["dataset"])
    for role, spec in asked.endpoints.items():
        await check_engine(desk.services, role, spec, with_picture=with_picture)
    async with desk.engine.begin() as c:
        run = await run_or_404(c, run_id, for_update=True)
        _check(run, asked)
        await _change_engines(c, run_id, asked, cause)
        await _change_costs(c, run, asked, cause)
        return await run_view(c, run_id)


def _check(run: JsonObject, asked: RunChange) -> None:
    check_trains(run)
    if asked.changes_engines and run["status"] in ENDED:
        raise Conflict(f"run {run['id']} is {run['status']}; only a run that can go on takes another engine")


async def _change_engines(c: AsyncConnection, run_id: str, asked: RunChange, cause: str) -> None:
    if asked.restart_assessment:
        await _restart_assessment(c, run_id, cause)
    specs = {role: None if spec is None else spec.model_dump() for role, spec in asked.endpoints.items()}
    if specs:
        await runs.set_engines(c, run_id, specs, cause)


async def _change_costs(c: AsyncConnection, run: JsonObject, asked: RunChange, cause: str) -> None:
    before = RunConfig.model_validate(run["config"])
    after = asked.config(before)
    if after == before:
        return
    await runs.set_config(c, run["id"], after.model_dump())
    if after.prices() != before.prices():
        prices = {role: price.model_dump() for role, price in after.prices().items()}
        await event_log.record(c, run["id"], "prices_changed", cause, prices=prices)
    if after.budget != before.budget:
        limit = after.budget.limit if after.budget else None
        await event_log.record(c, run["id"], "budget_changed", cause, limit=limit, currency=after.currency)


async def _restart_assessment(c: AsyncConnection, run_id: str, cause: str) -> None:
    iteration = await iterations.newest(c, run_id)
    if iteration is None or iteration["phase"] != "assessing":
        phase = "not started" if iteration is None else iteration["phase"]
        raise Conflict(f"run {run_id} is {phase}; an assessment can begin anew only while it goes on")
    await planning.forget(c, run_id, iteration["number"], "assessing")
    await outcomes.forget_verdicts(c, run_id, iteration["number"])
    await event_log.record(c, run_id, "assessment_restarted", cause, iteration=iteration["number"])
