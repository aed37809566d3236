"""Views for people: one instruction's life, a run's report, a picture."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api.frame import Desk, answer, public, run_or_404
from services.coordinator.api.history import add_log
from services.coordinator.api.instruction_shapes import Instruction, Report
from services.coordinator.api.usage import of_iteration, usage_of_run
from services.coordinator.merge import picture_of
from services.coordinator.repositories import failures, iterations, pools, reports, tracking
from shared.errors import NotFound
from shared.images import FORMATS, media_type
from shared.service import VERSION
from shared.types import JsonObject

SUMMARY = (
    "number",
    "phase",
    "tuning_pool",
    "cache_pool",
    "difficult",
    "easy",
    "accepted",
    "dropped",
    "rejected",
    "unjudged",
    "mean_difficulty",
    "train_loss",
    "heldout_accuracy",
    "heldout_by_kind",
    "seconds",
    "endings",
    "checkpoint",
)
RUN_SUMMARY = (
    "id",
    "name",
    "dataset",
    "status",
    "target",
    "config",
    "reason",
    "parent_run",
    "branched_from",
    "created_at",
    "updated_at",
)
UNJUDGED_WARNING = 0.02
PICTURE: dict[int | str, dict[str, Any]] = {200: {"content": {name: {} for name in FORMATS.values()}}}

InstructionId = Annotated[str, Path(pattern=r"^[0-9]{1,19}$")]
Sha256 = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]


def router(desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["views"])
    add_log(routes, desk)

    @routes.get("/runs/{run_id}/instructions/{instruction_id}", response_model=Instruction)
    async def instruction(run_id: str, instruction_id: InstructionId) -> Response:
        """Its ancestry up to the seed, its children, its answers and verdicts by iteration."""
        async with desk.engine.connect() as c:
            await run_or_404(c, run_id)
            return answer(await life(c, run_id, int(instruction_id)))

    @routes.get("/runs/{run_id}/report", response_model=Report)
    async def report(run_id: str, examples: Annotated[int, Query(ge=0, le=100)] = 6) -> Response:
        """All that a summary of the run needs."""
        async with desk.engine.connect() as c:
            run = await run_or_404(c, run_id)
            return answer(await _report(c, run, examples))

    @routes.get("/images/{sha256}", responses=PICTURE, response_class=Response)
    async def image(sha256: Sha256) -> Response:
        """A picture's bytes; they never change."""
        data = desk.images.read(sha256)
        headers = {"cache-control": "private, max-age=31536000, immutable"}
        return Response(data, media_type=media_type(data), headers=headers)

    return routes


async def life(c: AsyncConnection, run_id: str, instruction_id: int) -> JsonObject:
    """An instruction with its family, answers and verdicts; NotFound where the run has none of this id."""
    found = await pools.get(c, run_id, instruction_id)
    if found is None:
        raise NotFound(f"run {run_id} has no instruction {instruction_id}")
    ancestry = await pools.ancestry(c, run_id, instruction_id)
    children = await pools.children(c, run_id, instruction_id)
    return {
        **public({**found, "image": picture_of(found["image"])}),
        "ancestry": [public(row) for row in ancestry[1:]],
        "children": [public(row) for row in children],
        "answers": await pools.answers(c, run_id, instruction_id),
        "verdicts": await pools.verdicts(c, run_id, instruction_id),
    }


async def _report(c: AsyncConnection, run: JsonObject, num_examples: int) -> JsonObject:
    rows = await iterations.everything(c, run["id"])
    accuracies = [row["heldout_accuracy"] for row in rows if row["heldout_accuracy"] is not None]
    start = rows[0]["heldout_accuracy"] if rows else None
    sums = await reports.verdict_sums(c, run["id"], run["config"]["tau"])
    rejected = await reports.rejections(c, run["id"])
    usage = await usage_of_run(c, run)
    return {
        "version": VERSION,
        "run": {key: run[key] for key in RUN_SUMMARY},
        "start_accuracy": start,
        "final_accuracy": accuracies[-1] if accuracies else None,
        "tau": run["config"]["tau"],
        "usage": {key: value for key, value in usage.items() if key != "iterations"},
        "iterations": [
            {
                **_summary(row),
                **_judged(sums.get(row["number"])),
                "rejected_by_reason": rejected.get(row["number"], {}),
                "usage": of_iteration(usage, row["number"]),
            }
            for row in rows
        ],
        "examples": [_example(row) for row in await reports.examples(c, run["id"], num_examples)],
        "failures": await failures.counts(c, run["id"]),
        "warnings": [
            *(warning for row in rows for warning in warnings(row)),
            *(_stuck(row) for row in await tracking.stuck(c, run["id"])),
        ],
    }


def _stuck(row: JsonObject) -> str:
    tries = f"{row['attempts']} attempt{'' if row['attempts'] == 1 else 's'}"
    return f"metrics do not arrive at {row['tracker']} ({tries} so far, it is tried again): {row['error']}"


def _summary(row: JsonObject) -> JsonObject:
    return {key: row[key] for key in SUMMARY}


def _judged(found: JsonObject | None) -> JsonObject:
    """Ten bins each: scores 1, 2 ... 10 by role; difficulty 0.0-0.1 ... 0.9-1.0. How many verdicts are what.

    Null without verdicts.
    """
    if found is None:
        return dict.fromkeys(("score_histogram", "difficulty_histogram", "verdicts"))
    return {
        "score_histogram": {role: found[role] for role in ("teacher", "student")},
        "difficulty_histogram": found["difficulty"],
        "verdicts": {kind: found[kind] for kind in ("difficult", "easy", "unjudged", "better")},
    }


def _example(row: JsonObject) -> JsonObject:
    return public({**row, "image": picture_of(row["image"])})


def warnings(row: JsonObject) -> Iterator[str]:
    """What of an iteration a person should look at."""
    if row["unjudged"] and row["cache_pool"] and row["unjudged"] > UNJUDGED_WARNING * row["cache_pool"]:
        share = 100 * row["unjudged"] / row["cache_pool"]
        yield f"iteration {row['number']}: {row['unjudged']} instructions ({share:.1f} %) are unjudged"
    for phase, ended in row["endings"].items():
        if ended["failed"]:
            yield f"iteration {row['number']}, {phase}: {ended['failed']} of {ended['items']} failed"
