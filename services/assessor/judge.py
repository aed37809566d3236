"""One assessment: both orders of the two answers, each asked up to three times until it can be read.

In: an AssessmentRequest. Out: an Assessment with the mean scores and the difficulty, or unjudged with the reason.
"""

import asyncio
from dataclasses import dataclass

from services.assessor import fence, prompts
from services.assessor.difficulty import difficulty
from services.assessor.verdict import UnreadableVerdict, Verdict, read_verdict
from shared.identity import request_seed
from shared.messages import system_message, user_message
from shared.role import RoleService
from shared.types import Assessment, AssessmentRequest, EngineSpec, JsonObject, JudgeRun, Order, Usage

ATTEMPTS = 3
RESPONSE_FORMAT: JsonObject = {
    "type": "json_schema",
    "json_schema": {"name": "verdict", "strict": True, "schema": prompts.REPLY_SCHEMA},
}
KINDS_WITH_SCHEMA = {"vllm", "scripted"}


@dataclass(frozen=True)
class JudgedOrder:
    run: JudgeRun
    usage: Usage
    reason: str | None = None


async def assess(
    service: RoleService, spec: EngineSpec, request: AssessmentRequest, secret: bytes
) -> Assessment:
    """Judge in both orders at once; a role's score is the mean of its two (algorithm, step 3)."""
    identity = await service.identity(spec)
    judged = await asyncio.gather(
        judge_order(service, spec, request, secret, "teacher_first"),
        judge_order(service, spec, request, secret, "student_first"),
    )
    runs = [one.run for one in judged]
    said_by = {"model": spec.model, "revision": identity.revision, "prompt_version": identity.prompt_version}
    usage = judged[0].usage + judged[1].usage
    missing = [f"{one.run.order}: {one.reason}" for one in judged if one.reason]
    if missing:
        return Assessment(unjudged=True, reason="; ".join(missing), runs=runs, usage=usage, **said_by)
    teacher = sum(run.teacher_score or 0.0 for run in runs) / 2
    student = sum(run.student_score or 0.0 for run in runs) / 2
    return Assessment(
        teacher_score=teacher,
        student_score=student,
        difficulty=difficulty(student, teacher),
        runs=runs,
        usage=usage,
        **said_by,
    )


async def judge_order(
    service: RoleService, spec: EngineSpec, request: AssessmentRequest, secret: bytes, order: Order
) -> JudgedOrder:
    """One order of the answers; every attempt has a seed of its own."""
    messages = judge_messages(request, secret, order)
    usage, reason, raw = Usage(), "", ""
    for attempt in range(1, ATTEMPTS + 1):
        seed = request_seed(request.seed, f"assessor {order}", request.image, request.instruction, attempt)
        response_format = RESPONSE_FORMAT if spec.kind in KINDS_WITH_SCHEMA else None
        reply = await service.ask(spec, messages, seed, response_format)
        usage, raw = usage + reply.usage, reply.text
        try:
            return JudgedOrder(_readable(order, read_verdict(reply.text), reply.text, attempt), usage)
        except UnreadableVerdict as error:
            reason = str(error)
    nothing = JudgeRun(
        order=order, teacher_score=None, student_score=None, evidence=None, raw=raw, attempts=ATTEMPTS
    )
    return JudgedOrder(nothing, usage, f"no readable reply in {ATTEMPTS} attempts ({reason})")


def judge_messages(request: AssessmentRequest, secret: bytes, order: Order) -> list[JsonObject]:
    """The judge's prompt: system, image, criteria, then question and answers behind the fence."""
    teacher, student = fence.shown(request.teacher_answer), fence.shown(request.student_answer)
    answers = (teacher, student) if order == "teacher_first" else (student, teacher)
    mark = fence.mark(secret, request.model_dump())
    variable = prompts.variable_text(fence.shown(request.instruction), answers, mark)
    return [system_message(prompts.SYSTEM), user_message(request.image, prompts.CRITERIA, variable)]


def _readable(order: Order, verdict: Verdict, raw: str, attempt: int) -> JudgeRun:
    scores = (verdict.first_score, verdict.second_score)
    teacher, student = scores if order == "teacher_first" else scores[::-1]
    return JudgeRun(
        order=order,
        teacher_score=teacher,
        student_score=student,
        evidence=verdict.evidence,
        raw=raw,
        attempts=attempt,
    )
