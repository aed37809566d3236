"""`POST /v1/runs/{id}/branch`: a new run from where another stood right after one of its trainings."""

import secrets
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api import shapes
from services.coordinator.api.frame import Asked, Desk, answer, asked_by, check_trains, run_or_404
from services.coordinator.api.probing import check_datasets, check_engine, has_pictures
from services.coordinator.api.usage import run_view
from services.coordinator.repositories import branches, event_log, iterations
from services.coordinator.repositories.branches import Branch
from services.coordinator.run_config import RunConfig, merged, parse_run_config
from services.coordinator.states import UNTRAINED
from services.coordinator.tracking.trackers import check_installed
from shared.errors import Conflict, NotFound, Unprocessable
from shared.types import JsonObject, WholeNumber


class BranchRequest(Asked):
    iteration: Annotated[WholeNumber, Field(ge=1, le=2**31)] = Field(
        description="the new run stands right after this training"
    )
    name: str = Field(min_length=1, max_length=100)
    config: dict[str, Any] = Field(
        default_factory=dict, description="settings that differ from the parent's; sections are merged"
    )


def add_branching(routes: APIRouter, desk: Desk) -> None:
    @routes.post("/{run_id}/branch", status_code=201, response_model=shapes.Run)
    async def branch(run_id: str, asked: BranchRequest, request: Request) -> Response:
        """Asked for more trainings, it goes on with the assessment under its own settings."""
        async with desk.engine.connect() as c:
            parent = await run_or_404(c, run_id)
        check_trains(parent)
        config = child_config(parent, asked.config)
        new_engines = _new_engines(config, asked.config)
        with_picture = await has_pictures(desk.engine, parent["dataset"])
        for role, spec in new_engines.items():
            if spec is not None:
                await check_engine(desk.services, role, spec, with_picture=with_picture)
        async with desk.engine.connect() as c:
            await c.execution_options(
                isolation_level="REPEATABLE READ"
            )  # the parent may be at work meanwhile
            async with c.begin():
                await check_datasets(c, parent["dataset"], config)
                child = await _make(c, parent, asked, config, asked_by(request))
                return answer(await run_view(c, child), 201)


async def _make(
    c: AsyncConnection, parent: JsonObject, asked: BranchRequest, config: RunConfig, cause: str
) -> str:
    iteration = await _trained(c, parent["id"], asked.iteration)
    branch = plan_branch(parent, iteration, config, asked.config, f"run-{secrets.token_hex(6)}")
    specs = {role: spec and spec.model_dump() for role, spec in _new_engines(config, asked.config).items()}
    engines = {role: spec for role, spec in {**parent["engines"], **specs}.items() if spec is not None}
    await branches.create(c, branch, asked.name, config.model_dump(), engines)
    copied = await branches.copy(c, branch)
    stand = {
        "status": "finished",
        "iteration": asked.iteration,
        "phase": "trained",
        "target": asked.iteration,
    }
    told = {"parent_run": parent["id"], "name": asked.name, "changes": asked.config, "copied": copied}
    await event_log.record(c, branch.child, "branched", cause, **stand, **told)
    await event_log.record(
        c, parent["id"], "branch", cause, from_iteration=asked.iteration, child=branch.child
    )
    return branch.child


async def _trained(c: AsyncConnection, run_id: str, number: int) -> JsonObject:
    iteration = await iterations.get(c, run_id, number)
    if iteration is None:
        raise NotFound(f"run {run_id} has no iteration {number} yet")
    if iteration["phase"] in UNTRAINED:
        raise Conflict(
            f"iteration {number} of run {run_id} is {iteration['phase']}; a branch begins where a training and its "
            "evaluation are over"
        )
    return iteration


def child_config(parent: JsonObject, changes: Mapping[str, Any]) -> RunConfig:
    """The parent's settings with the changes merged in; Unprocessable where what is past would differ."""
    before = RunConfig.model_validate(parent["config"])
    after = parse_run_config(merged(parent["config"], changes))
    check_installed(after.tracking)
    if after.student.base != before.student.base:
        raise Unprocessable(
            "student.base: a branch goes on with its parent's student; begin a new run instead"
        )
    if after.pretraining != before.pretraining:
        raise Unprocessable("pretraining: it lies before the branch; begin a new run to change it")
    if before.evaluation and after.evaluation and after.evaluation.dataset != before.evaluation.dataset:
        raise Unprocessable(
            "evaluation.dataset: the accuracies of earlier iterations could not be compared; begin a new run instead"
        )
    return after


def plan_branch(
    parent: JsonObject, iteration: JsonObject, after: RunConfig, changes: Mapping[str, Any], child: str
) -> Branch:
    """What of the parent's assessment after this training holds in the new run too."""
    before = RunConfig.model_validate(parent["config"])
    same_questions = (
        after.seed == before.seed
        and after.student.temperature == before.student.temperature
        and after.student.max_tokens == before.student.max_tokens
    )
    judge = iteration["judge"]
    new_assessor = _new_engines(after, changes).get("assessor", judge and judge["engine"])
    asked_for = new_assessor.model_dump() if isinstance(new_assessor, BaseModel) else new_assessor
    same_judge = same_questions and judge is not None and asked_for == judge["engine"]
    return Branch(parent["id"], child, iteration["number"], same_questions, same_judge)


def _new_engines(config: RunConfig, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The engines that the changes name, by role; None: back to the one of the role's service."""
    return {
        role: config.engines().get(role)
        for role in ("teacher", "assessor", "augmentor")
        if isinstance(changes.get(role), Mapping) and "engine" in changes[role]
    }
