"""Assessment: the student answers, and each answer goes to the judge as it comes (steps 3 and 4)."""

import asyncio

from services.coordinator.outgoing import ItemFailed, Waiting
from services.coordinator.tasks.work import Request, Tools, Work, request, student_answer, student_identity
from shared.types import Assessment, AssessmentRequest, EngineSpec, JsonObject

WAY_OUT = (
    "the judge is fixed for a whole assessment and another takes over with the next; "
    'PATCH {"restart_assessment": true} begins this one anew with the assessor that the run has now'
)


async def assess(work: Work, tools: Tools) -> None:
    student = work.config.student
    identity = student_identity(work.checkpoint, student.temperature, student.max_tokens)
    asked = {item["id"]: request(work, identity, item["text"]) for item in work.items}
    known = await tools.known_answers([one.hash for one in asked.values()])
    async with asyncio.TaskGroup() as group:
        for item in work.items:
            group.create_task(_assess_one(work, tools, item, asked[item["id"]], known))


async def _assess_one(
    work: Work, tools: Tools, item: JsonObject, asked: Request, known: dict[str, JsonObject]
) -> None:
    failures: list[JsonObject] = []
    try:
        text = item["student_answer"]
        if text is None:
            text = await _bound_answer(work, tools, item, asked, known)
        if said_before := (item["by_answer"] or {}).get(text):
            verdict = _row(said_before)  # the request would be the same to the last bit, its seed too
        else:
            verdict = _row((await _judge(work, tools, item, text)).model_dump())
    except ItemFailed as error:
        verdict = {**UNJUDGED, "reason": error.message[:2000]}
        failures = [work.failure(item["id"], error.message, 1)]
    key = {"run_id": work.run_id, "iteration": work.iteration, "instruction_id": item["id"]}
    await tools.keep(work, {"verdicts": [{**key, **verdict}], "failures": failures})


async def _bound_answer(
    work: Work, tools: Tools, item: JsonObject, asked: Request, known: dict[str, JsonObject]
) -> str:
    """The student's answer, kept before it is judged: the driver counts them to give the trainer back."""
    text, rows = await student_answer(work, tools, asked, known)
    binding = {
        "run_id": work.run_id,
        "instruction_id": item["id"],
        "role": "student",
        "checkpoint": work.checkpoint,
        "request_hash": asked.hash,
    }
    await tools.keep(work, {**rows, "bindings": [binding]})
    return text


async def _judge(work: Work, tools: Tools, item: JsonObject, student_text: str) -> Assessment:
    engine = EngineSpec.model_validate(work.judge["engine"]) if work.judge.get("engine") else None
    asked = AssessmentRequest(
        image=work.image,
        instruction=item["text"],
        teacher_answer=item["teacher_answer"],
        student_answer=student_text,
        seed=work.config.seed,
    )

    async def judge() -> Assessment:
        try:
            assessment = await tools.services.assess(asked, engine)
        except Waiting as error:
            swapped = work.engines.get("assessor") != engine
            also = f"; the assessor was swapped meanwhile: {WAY_OUT}" if swapped else ""
            raise Waiting(error.message + also, error.retry_after_s, error.cause) from error
        work.note_call("assessor", assessment.revision, assessment.usage)
        said_by = (assessment.revision, assessment.prompt_version)
        fixed = (work.judge["revision"], work.judge["prompt_version"])
        if said_by != fixed:
            raise Waiting(
                f"the assessment has the judge {fixed[0]} ({fixed[1]}), but {said_by[0]} ({said_by[1]}) "
                f"answers; bring the first one back, or {WAY_OUT}",
                retry_after_s=5.0,
            )
        return assessment

    return await tools.ask(work, "assessor", judge)


UNJUDGED: JsonObject = {
    "unjudged": True,
    "reason": None,
    "teacher_score": None,
    "student_score": None,
    "difficulty": None,
    "runs": [],
    "model": None,
    "revision": None,
    "prompt_version": None,
}


def _row(verdict: JsonObject) -> JsonObject:
    return {name: verdict[name] for name in UNJUDGED}
