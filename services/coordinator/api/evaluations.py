"""`/v1/evaluations`: measure a model on a benchmark, and look at what came of it.

An evaluation is a run of another kind: its id works at `/v1/runs/{id}/pause`, resume, cancel, retry and events.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.coordinator.api import evaluation_shapes as shapes
from services.coordinator.api.frame import Asked, Desk, answer, asked_by
from services.coordinator.api.tested_models import check_judge, tested_model
from services.coordinator.benchmarks.scores import differences
from services.coordinator.evaluation_settings import EvaluationSettings, TestedModel
from services.coordinator.evaluations import begin, marks_of, settled
from services.coordinator.merge import picture_of
from services.coordinator.repositories import benchmarks, evaluations
from services.coordinator.score_tables import CONTENT_TYPES, Format, rendered, score_table
from shared.errors import Conflict, NotFound, Unprocessable
from shared.types import JsonObject

PAGE = 100
FROM_CONTENT = ("question", "hint", "choices", "answer", "groups", "reference")
FROM_ROW = (
    "id",
    "name",
    "outcome",
    "prediction",
    "correct",
    "answer_text",
    "likelihoods",
    "review",
    "failure",
)


class EvaluationRequest(Asked):
    benchmark: str
    model: TestedModel
    name: str | None = Field(
        None, min_length=1, max_length=200, description="default: the model and the benchmark"
    )
    settings: EvaluationSettings = EvaluationSettings()


def router(desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/v1/evaluations", tags=["evaluations"])
    _add_creation(routes, desk)
    _add_items(routes, desk)
    _add_tables(routes, desk)
    return routes


def _add_creation(routes: APIRouter, desk: Desk) -> None:
    @routes.post("", status_code=201, response_model=shapes.Evaluation)
    async def create(asked: EvaluationRequest, request: Request) -> Response:
        """It starts at once."""
        return answer(await create_evaluation(desk, asked, asked_by(request)), 201)

    @routes.get("", response_model=shapes.EvaluationList)
    async def everything(run: str | None = None, benchmark: str | None = None) -> Response:
        async with desk.engine.connect() as c:
            return answer({"object": "list", "data": await evaluations.everything(c, run, benchmark)})

    @routes.get("/{evaluation_id}", response_model=shapes.Evaluation)
    async def one(evaluation_id: str) -> Response:
        async with desk.engine.connect() as c:
            return answer(await evaluation_view(c, evaluation_id))


async def create_evaluation(desk: Desk, asked: EvaluationRequest, cause: str) -> JsonObject:
    """The new evaluation, on its way; Unprocessable where model, judge or settings will not do."""
    async with desk.engine.connect() as c:
        benchmark = await benchmarks.get(c, asked.benchmark)
    if benchmark is None:
        raise Unprocessable(
            f"there is no benchmark {asked.benchmark!r}; register it first (POST /v1/benchmarks)",
            param="benchmark",
        )
    settings = settled(asked.settings, benchmark["kind"])
    with_picture = settings.with_images and benchmark["num_images"] > 0
    model, of_run, of_iteration = await tested_model(desk, asked.model, settings, with_picture=with_picture)
    evaluation = {
        "model": model,
        "settings": settings.model_dump(),
        "judge": await check_judge(desk, benchmark["kind"], settings),
        "of_run": of_run,
        "of_iteration": of_iteration,
        "automatic": False,
    }
    evaluation_id = f"run-{secrets.token_hex(6)}"
    name = asked.name or f"{model['label']} on {asked.benchmark}"
    async with desk.engine.begin() as c:
        await begin(c, evaluation_id, name, asked.benchmark, evaluation, cause)
        return await evaluation_view(c, evaluation_id)


def _add_items(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/{evaluation_id}/items", response_model=shapes.EvaluationItems)
    async def items(
        evaluation_id: str,
        outcome: shapes.Outcome | None = None,
        group: str | None = None,
        after: Annotated[int, Query(ge=0, le=2**31)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = PAGE,
    ) -> Response:
        """The questions in their official order, with what came of each."""
        async with desk.engine.connect() as c:
            await evaluation_or_404(c, evaluation_id)
            rows = await evaluations.items(
                c, evaluation_id, outcome=outcome, group=group, after=after, limit=limit
            )
        behind = rows[-1]["id"] if len(rows) == limit else None
        return answer({"object": "list", "data": [item_view(row) for row in rows], "next_cursor": behind})

    @routes.get("/{evaluation_id}/export", response_class=StreamingResponse)
    async def export(evaluation_id: str) -> StreamingResponse:
        """All of them, a JSON line each: enough to count every number of the table again."""
        async with desk.engine.connect() as c:
            await evaluation_or_404(c, evaluation_id)

        return StreamingResponse(
            exported_lines(desk.engine, evaluation_id), media_type="application/x-ndjson"
        )


async def exported_lines(engine: AsyncEngine, evaluation_id: str) -> AsyncGenerator[bytes]:
    """Each batch by a connection of its own: a slow reader holds none."""
    after: int | None = 0
    while after is not None:
        async with engine.connect() as c:
            rows = await evaluations.items(c, evaluation_id, after=after)
        yield b"".join(orjson.dumps(item_view(row)) + b"\n" for row in rows)
        after = rows[-1]["id"] if rows else None


def _add_tables(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/{evaluation_id}/table", response_model=shapes.ScoreTable)
    async def table(
        evaluation_id: str,
        beside: Annotated[list[str], Query(max_length=shapes.MOST_BESIDE)] = [],  # noqa: B006
        format: Format = "json",
    ) -> Response:
        """The scores with their intervals, those of other evaluations `beside`, and the paper's rows."""
        async with desk.engine.connect() as c:
            rows = [await evaluation_or_404(c, one) for one in dict.fromkeys([evaluation_id, *beside])]
        return Response(rendered(score_table(rows), format), media_type=CONTENT_TYPES[format])

    @routes.get("/{evaluation_id}/difference", response_model=shapes.Difference)
    async def difference(evaluation_id: str, other: str) -> Response:
        """This one minus the other, paired over the questions, with intervals."""
        async with desk.engine.connect() as c:
            return answer(await difference_view(c, evaluation_id, other))


async def difference_view(c: AsyncConnection, evaluation_id: str, other: str) -> JsonObject:
    """By column; Unprocessable where the two are of different benchmarks, Conflict where one is not finished."""
    ours, theirs = await evaluation_or_404(c, evaluation_id), await evaluation_or_404(c, other)
    if ours["benchmark"] != theirs["benchmark"]:
        raise Unprocessable(
            f"other: {other} is of {theirs['benchmark']}, and {evaluation_id} of {ours['benchmark']}; "
            "compare two evaluations of one benchmark",
            param="other",
        )
    if open_one := next((one for one in (ours, theirs) if one["status"] != "finished"), None):
        raise Conflict(
            f"evaluation {open_one['id']} is {open_one['status']}; only finished ones can be compared"
        )
    both = await marks_of(c, evaluation_id), await marks_of(c, other)
    cells = await asyncio.to_thread(differences, ours["kind"], *both, ours["settings"]["seed"])
    return {"columns": {column: vars(cell) for column, cell in cells.items()}}


async def evaluation_or_404(c: AsyncConnection, evaluation_id: str) -> JsonObject:
    found = await evaluations.get(c, evaluation_id)
    if found is None:
        raise NotFound(f"there is no evaluation {evaluation_id!r}; GET /v1/evaluations lists them")
    return found


async def evaluation_view(c: AsyncConnection, evaluation_id: str) -> JsonObject:
    found = await evaluation_or_404(c, evaluation_id)
    return {**found, "outcomes": await evaluations.counts(c, evaluation_id)}


def item_view(row: JsonObject) -> JsonObject:
    """A question as REST shows it: what it is, and what came of it."""
    content = {name: row["content"].get(name) for name in FROM_CONTENT}
    return {**{name: row[name] for name in FROM_ROW}, **content, "image": picture_of(row["image"])}
