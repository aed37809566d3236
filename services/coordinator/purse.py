"""Weighs a task against its run's budget before it begins.

In: a claimed task. Out: its estimate is reserved and it may begin; or it went back, and the run is paused where
nothing else is in flight.
"""

import asyncio
from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.coordinator.costs import Demand, estimate_nanos, in_currency, in_nanos
from services.coordinator.database import persistently
from services.coordinator.repositories import budgets, runs, usage
from services.coordinator.run_config import RunConfig
from services.coordinator.tasks.work import Tools, Work
from shared import logs
from shared.types import JsonObject

TEXTS = ("text", "teacher_answer", "student_answer")

log = logs.get(__name__)


class Purse:
    """One worker's access to the budgets: a task at a time, so that waiting takes one connection, not all."""

    def __init__(self, engine: AsyncEngine):
        self.engine = engine
        self._turn = asyncio.Lock()

    async def pays(self, work: Work, tools: Tools) -> bool:
        """Whether the task may begin. Runs without prices or without a budget are not even looked up."""
        if work.config.budget is None or not work.config.prices():
            return True
        demands = await _demands(work, tools)
        async with self._turn:
            return await persistently(lambda: self._weigh(work, demands))

    async def _weigh(self, work: Work, demands: list[Demand]) -> bool:
        async with self.engine.begin() as c:
            run = await budgets.lock_run(c, work.run_id)
            if run["status"] != "running":
                await budgets.refuse(c, work.claim, 0)
                return False
            return await _decide(c, work, demands, run)


async def _decide(c: AsyncConnection, work: Work, demands: list[Demand], run: JsonObject) -> bool:
    """Under the run's lock, by its settings of this moment."""
    config = RunConfig.model_validate(run["config"])
    totals = _by_role(await usage.totals(c, work.run_id))
    estimate = estimate_nanos(demands, config.prices(), totals)
    stand = await budgets.stand(c, work.run_id)
    if config.budget is None or stand.spent + stand.reserved + estimate <= in_nanos(config.budget.limit):
        return await budgets.reserve(c, work.claim, estimate)
    await budgets.refuse(c, work.claim, estimate)
    if stand.in_flight <= 1:  # this task alone: nobody else's end can make room for it
        reason = used_up(config, stand.spent, estimate, run["name"])
        log.warning("budget_used_up", run_id=work.run_id, spent=in_currency(stand.spent))
        await runs.set_status(c, work.run_id, "paused", reason)
    return False


def used_up(config: RunConfig, spent: int, estimate: int, name: str) -> str:
    """Why the run is paused, and how it goes on."""
    assert config.budget is not None, "only a budget can be used up"
    return (
        f"the budget of {config.budget.limit:.2f} {config.currency} is used up: {in_currency(spent):.4f} spent, "
        f"and the next task may cost {in_currency(estimate):.4f}; raise it with `comd run budget {name} AMOUNT` "
        '(or PATCH /v1/runs/{id} {"budget": AMOUNT}), then resume'
    )


async def _demands(work: Work, tools: Tools) -> list[Demand]:
    """What the task asks of roles that have a price."""
    wanted = {role: items for role, items in _items(work).items() if role in work.config.prices()}
    awaited = work.config.student.max_tokens  # of an answer that is still to be judged
    return [
        Demand(role, len(items), _characters(items, awaited), await _max_tokens(work, tools, role))
        for role, items in wanted.items()
    ]


def _items(work: Work) -> Mapping[str, list[JsonObject]]:
    match work.claim.key.phase:
        case "teaching":
            return {"teacher": work.items}
        case "augmenting":
            # each parent brings forth one new instruction at most, which the teacher answers
            return {"augmentor": work.items, "teacher": [*work.born, *work.items]}
        case "evaluating":
            return {"student": work.items}
    unanswered = [item for item in work.items if item["student_answer"] is None]
    return {"student": unanswered, "assessor": [item for item in work.items if not _said_before(item)]}


def _said_before(item: JsonObject) -> bool:
    return item["student_answer"] is not None and item["student_answer"] in (item["by_answer"] or {})


def _characters(items: list[JsonObject], awaited: int) -> int:
    texts = [item[name] for item in items for name in TEXTS if name in item]
    return sum(awaited if text is None else len(text) for text in texts)


async def _max_tokens(work: Work, tools: Tools, role: str) -> int:
    """The longest reply of a role; a service that is away is waited for, as the task would."""
    if role == "student":
        evaluation = work.config.evaluation
        in_evaluation = work.claim.key.phase == "evaluating" and evaluation is not None
        return evaluation.max_tokens if in_evaluation and evaluation else work.config.student.max_tokens
    engine = work.engines.get(role)
    identity = await tools.ask(work, role, lambda: tools.services.identity(role, engine))
    return identity.sampling.max_tokens


def _by_role(totals: list[JsonObject]) -> dict[str, JsonObject]:
    """The sums over all iterations."""
    found: dict[str, JsonObject] = {}
    for row in totals:
        known = found.get(row["role"], dict.fromkeys(usage.SUMMED, 0))
        found[row["role"]] = {name: known[name] + row[name] for name in usage.SUMMED}
    return found
