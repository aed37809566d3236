"""Evaluation: the student answers the held-out questions of one image at temperature 0."""

import asyncio

from services.coordinator.matching import is_match
from services.coordinator.outgoing import ItemFailed
from services.coordinator.tasks.work import Request, Tools, Work, request, student_answer, student_identity
from shared.types import JsonObject


async def evaluate(work: Work, tools: Tools) -> None:
    assert work.config.evaluation is not None, "the phase is left out of a run without an evaluation"
    identity = student_identity(work.checkpoint, 0.0, work.config.evaluation.max_tokens)
    asked = {item["id"]: request(work, identity, item["text"]) for item in work.items}
    known = await tools.known_answers([one.hash for one in asked.values()])
    async with asyncio.TaskGroup() as group:
        for item in work.items:
            group.create_task(_evaluate_one(work, tools, item, asked[item["id"]], known))


async def _evaluate_one(
    work: Work, tools: Tools, item: JsonObject, asked: Request, known: dict[str, JsonObject]
) -> None:
    try:
        text, rows = await student_answer(work, tools, asked, known)
    except ItemFailed as error:
        await tools.keep(work, {"failures": [work.failure(item["id"], error.message, 1)]})
        return
    result = {
        "run_id": work.run_id,
        "iteration": work.iteration,
        "item_id": item["id"],
        "request_hash": asked.hash,
        "correct": is_match(text, item["reference"] or ""),
    }
    await tools.keep(work, {**rows, "evaluation_answers": [result]})
