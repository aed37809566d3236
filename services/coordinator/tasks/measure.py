"""Measuring: the tested model answers a benchmark's questions about one picture, and each answer is marked.

By letter and by likelihood the mark is right or wrong; the LLaVA test set's free answers go to the judge.
"""

import asyncio

from services.coordinator.benchmarks import prompts
from services.coordinator.benchmarks.items import JUDGED
from services.coordinator.benchmarks.reading_letters import chosen
from services.coordinator.committer import Rows
from services.coordinator.measured import Measured
from services.coordinator.outgoing import ItemFailed
from services.coordinator.tasks.choosing import likeliest
from services.coordinator.tasks.reviewing import review
from services.coordinator.tasks.work import Request, Tools, Work
from services.coordinator.tested import answer
from shared.identity import request_seed
from shared.types import JsonObject, RoleIdentity, Sampling


async def measure(work: Work, tools: Tools) -> None:
    assert work.measured is not None, "a task of this phase belongs to an evaluation"
    asked = {item["id"]: request(work, work.measured, item["content"]) for item in work.items}
    known = await tools.known_answers([one.hash for one in asked.values()])
    async with asyncio.TaskGroup() as group:
        for item in work.items:
            group.create_task(_measure_one(work, tools, item, asked[item["id"]], known))


async def _measure_one(
    work: Work, tools: Tools, item: JsonObject, asked: Request, known: dict[str, JsonObject]
) -> None:
    try:
        marked, rows = await _mark(work, tools, item["content"], asked, known)
    except ItemFailed as error:
        await tools.keep(work, {"failures": [work.failure(item["id"], error.message, 1)]})
        return
    key = {"run_id": work.run_id, "item_id": item["id"], "request_hash": asked.hash}
    await tools.keep(work, {**rows, "evaluation_results": [{**key, **NOTHING, **marked}]})


NOTHING: JsonObject = {"prediction": None, "correct": None, "likelihoods": None, "review": None}


async def _mark(
    work: Work, tools: Tools, content: JsonObject, asked: Request, known: dict[str, JsonObject]
) -> tuple[JsonObject, Rows]:
    """What the model's answer is worth; one that names no choice is wrong, never a guess."""
    assert work.measured is not None, "a task of this phase belongs to an evaluation"
    if work.measured.settings.method == "likelihood":
        found, rows = await likeliest(work, tools, asked, known)
        return {**found, "correct": found["prediction"] == content["answer"]}, rows
    text = await _answer(work, tools, asked, known)
    if work.measured.kind == JUDGED:
        return {"review": await review(work, tools, content, text)}, {}
    prediction = chosen(text, content["choices"])
    return {"prediction": prediction, "correct": prediction == content["answer"]}, {}


async def _answer(work: Work, tools: Tools, asked: Request, known: dict[str, JsonObject]) -> str:
    """The model's answer, kept at once: a review that waits for its judge must not have it asked again."""
    assert work.measured is not None, "a task of this phase belongs to an evaluation"
    if stored := known.get(asked.hash):
        return str(stored["text"])
    where = work.measured.where
    given = await tools.ask(
        work,
        where.service,
        lambda: answer(tools.services, where, asked.image, asked.text, asked.sampling, asked.seed),
    )
    work.note_call("tested", asked.identity.revision, given.usage)
    await tools.keep(work, {"answers": [asked.row(given)]})
    return given.text


def request(work: Work, measured: Measured, content: JsonObject) -> Request:
    """What the model is asked, with the name of its answer; a likelihood's name holds the choices too."""
    settings = measured.settings
    image = work.image if settings.with_images else None
    sampling = Sampling(temperature=settings.temperature or 0.0, max_tokens=settings.max_tokens or 1)
    if settings.method == "likelihood":
        text, asked_for = prompts.likelihood_text(content), {"choices": content["choices"]}
    else:
        text = prompts.question_text(measured.kind, content, with_picture=image is not None)
        asked_for = sampling.model_dump()
    version = "+".join(filter(None, (prompts.PROMPT_VERSION, measured.prompt_version)))
    identity = RoleIdentity(
        role="tested",
        prompt_version=version,
        model=measured.model,
        revision=measured.revision,
        sampling=sampling,
    )
    seed = request_seed(settings.seed, "tested", image, text, 0)
    return Request(identity, image, text, seed, asked_for)
