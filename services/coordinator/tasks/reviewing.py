"""Reviewing: the judge scores a free answer beside the benchmark's reference answer, in both orders.

In: a question with its reference and the model's answer. Out: the review as it is kept.
"""

from services.coordinator.outgoing import Waiting
from services.coordinator.tasks.work import Tools, Work
from shared.types import Assessment, AssessmentRequest, JsonObject

REVIEW = {
    "unjudged",
    "reason",
    "teacher_score",
    "student_score",
    "runs",
    "model",
    "revision",
    "prompt_version",
}


async def review(work: Work, tools: Tools, content: JsonObject, text: str) -> JsonObject:
    """`teacher_score` is the reference answer's, `student_score` the tested model's."""
    assert work.measured is not None, "a task of this phase belongs to an evaluation"
    settings, fixed = work.measured.settings, work.measured.judge or {}
    sees_text = settings.judge_sees == "context"
    asked = AssessmentRequest(
        image=None if sees_text else work.image,
        context=content["context"] if sees_text else None,
        instruction=content["question"],
        teacher_answer=content["reference"],
        student_answer=text,
        seed=settings.seed,
    )

    async def judge() -> Assessment:
        assessment = await tools.services.assess(asked, settings.judge)
        work.note_call("assessor", assessment.revision, assessment.usage)
        if assessment.revision != fixed["revision"]:
            raise Waiting(
                f"the evaluation has the judge {fixed['revision']}, but {assessment.revision} answers; bring the "
                "first one back, or cancel the evaluation and begin another",
                retry_after_s=5.0,
            )
        return assessment

    return (await tools.ask(work, "assessor", judge)).model_dump(include=REVIEW)
