"""What a run used and what it cost, by role and iteration: the route, and the parts of other views."""

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api import shapes
from services.coordinator.api.frame import Desk, answer, run_or_404
from services.coordinator.costs import in_currency
from services.coordinator.repositories import failures, runs, usage
from services.coordinator.run_config import RunConfig
from shared.types import JsonObject


def router(desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/v1/runs", tags=["runs"])

    @routes.get("/{run_id}/usage", response_model=shapes.UsageByIteration)
    async def one(run_id: str) -> Response:
        """Calls, tokens, seconds with the engines and cost: of the run, and of each iteration, by role."""
        async with desk.engine.connect() as c:
            return answer(await usage_of_run(c, await run_or_404(c, run_id)))

    return routes


async def usage_of_run(c: AsyncConnection, run: JsonObject) -> JsonObject:
    """The sums of a run with its limit; `iterations` holds those in which somebody was asked."""
    totals, config = await usage.totals(c, run["id"]), RunConfig.model_validate(run["config"])
    numbers = sorted({row["iteration"] for row in totals})
    return {
        **_sums(totals, config.currency),
        "limit": config.budget.limit if config.budget else None,
        "iterations": [
            {
                "number": number,
                **_sums([row for row in totals if row["iteration"] == number], config.currency),
            }
            for number in numbers
        ],
    }


async def run_view(c: AsyncConnection, run_id: str) -> JsonObject:
    """A run as REST shows it: where it stands, what it used and what failed; NotFound where there is none."""
    used = await usage_of_run(c, await run_or_404(c, run_id))
    del used["iterations"]  # each is with its iteration
    failed = await failures.counts(c, run_id)
    return {**(await runs.view(c, run_id) or {}), "usage": used, "failures": failed}


def of_iteration(found: JsonObject, number: int) -> JsonObject:
    """An iteration's part of `usage_of_run`; empty where nobody was asked."""
    parts = (part for part in found["iterations"] if part["number"] == number)
    part = next(parts, _sums([], found["currency"]))
    return {key: value for key, value in part.items() if key != "number"}


def _sums(rows: list[JsonObject], currency: str) -> JsonObject:
    by_role: dict[str, JsonObject] = {}
    for row in rows:
        known = by_role.setdefault(row["role"], dict.fromkeys(usage.SUMMED, 0))
        for name in usage.SUMMED:
            known[name] += row[name]
    spent = sum(role["cost_nanos"] for role in by_role.values())
    return {
        "currency": currency,
        "spent": in_currency(spent),
        "by_role": {role: _shown(sums) for role, sums in sorted(by_role.items())},
    }


def _shown(sums: JsonObject) -> JsonObject:
    nanos = sums.pop("cost_nanos")
    return {**sums, "seconds": round(sums["seconds"], 3), "cost": in_currency(nanos)}
