"""One assessment: both orders of the two answers, each asked up to three times until it can be read.

In: an AssessmentRequest. Out: an Assessment with the mean scores and the difficulty, or unjudged with the reason.
"""

import asyncio
from dataclasses import dataclass

from services.assessor import fence, prompts
from services.assessor.difficulty import difficulty
from services.assessor.verdict import Verdict, read_verdict
from shared.asking import ask_in_form
from shared.errors import EngineReplyError
from shared.identity import request_seed
from shared.messages import system_message, user_message
from shared.plain_text import check_text
from shared.reply_form import ReplyForm, UnreadableReply, reply_form, versioned
from shared.role import RoleService
from shared.types import Assessment, AssessmentRequest, EngineSpec, JsonObject, JudgeRun, Order, Usage

ATTEMPTS = 3


@dataclass(frozen=True)
class JudgedOrder:
    run: JudgeRun
    usage: Usage
    reason: str | None = None


async def assess(
    service: RoleService, spec: EngineSpec, request: AssessmentRequest, secret: bytes
) -> Assessment:
    """Judge in both orders at once; a role's score is the mean of its two (algorithm, step 3)."""
    for name in ("context", "instruction", "teacher_answer", "student_answer"):
        check_text(name, getattr(request, name) or "")
    identity = await service.identity(spec)
    judged = await asyncio.gather(
        judge_order(service, spec, request, secret, "teacher_first"),
        judge_order(service, spec, request, secret, "student_first"),
    )
    await service.revisions.confirm(spec, identity.revision)
    runs = [one.run for one in judged]
    version = identity.prompt_version
    if request.context is not None:
        version = versioned(prompts.CONTEXT_VERSION, reply_form(spec))
    said_by = {"model": spec.model, "revision": identity.revision, "prompt_version": version}
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
    form = reply_form(spec)
    messages = judge_messages(request, secret, order, form)
    usage, reason, raw = Usage(), "", ""
    for attempt in range(1, ATTEMPTS + 1):
        seed = request_seed(request.seed, f"assessor {order}", request.image, request.instruction, attempt)
        try:
            reply = await ask_in_form(service, spec, messages, seed, prompts.RESPONSE_FORMAT)
            usage, raw = usage + reply.usage, reply.text
            verdict = read_verdict(reply.text, reply.finish_reason, form)
        except (UnreadableReply, EngineReplyError) as error:
            reason = str(error)
        else:
            return JudgedOrder(_readable(order, verdict, raw, attempt), usage)
    nothing = JudgeRun(
        order=order, teacher_score=None, student_score=None, evidence=None, raw=raw, attempts=ATTEMPTS
    )
    return JudgedOrder(nothing, usage, f"no readable reply in {ATTEMPTS} attempts ({reason})")


def judge_messages(
    request: AssessmentRequest, secret: bytes, order: Order, form: ReplyForm
) -> list[JsonObject]:
    """The judge's prompt: system, image, criteria, then context, question and answers behind the fence."""
    answers = (request.teacher_answer, request.student_answer)
    mark = request_mark(request, secret)
    placed = answers if order == "teacher_first" else answers[::-1]
    variable = prompts.variable_text(request.instruction, placed, mark, request.context)
    fixed = prompts.fixed_text(form, "image" if request.context is None else "context")
    return [system_message(prompts.SYSTEM), user_message(request.image, fixed, variable)]


def request_mark(request: AssessmentRequest, secret: bytes) -> str:
    """The fence's mark. A context counts where there is one: prompts without keep their words, and so their version."""
    return fence.mark(secret, request.model_dump(exclude={"context"} if request.context is None else None))


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
