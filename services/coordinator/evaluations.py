"""How an evaluation begins and what its marks are: shared by requests, and by the driver for a run's student.

In: a benchmark, a model and settings. Out: the evaluation's rows, on their way; and marks for the score table.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.benchmarks import prompts
from services.coordinator.benchmarks.items import JUDGED, Kind
from services.coordinator.benchmarks.scores import Mark
from services.coordinator.clients import Services
from services.coordinator.evaluation_settings import EvaluationSettings
from services.coordinator.repositories import evaluations, event_log, runs
from services.coordinator.run_config import RunConfig
from shared.errors import Unprocessable
from shared.types import JsonObject


def settled(settings: EvaluationSettings, kind: Kind) -> EvaluationSettings:
    """With what the benchmark leaves to it filled in; Unprocessable where the two do not go together."""
    if kind == JUDGED and settings.method != "letter":
        raise Unprocessable(
            f"settings.method: {kind} has no choices; leave method out, its free answers go to the judge",
            param="settings.method",
        )
    if kind != JUDGED and (settings.judge is not None or settings.judge_sees != "image"):
        raise Unprocessable(
            f"settings.judge: {kind} is marked by its known answers; a judge belongs to {JUDGED}",
            param="settings.judge",
        )
    temperature, max_tokens = settings.temperature, settings.max_tokens
    return settings.model_copy(
        update={
            "temperature": prompts.TEMPERATURE[kind] if temperature is None else temperature,
            "max_tokens": prompts.MAX_TOKENS[kind] if max_tokens is None else max_tokens,
        }
    )


def of_checkpoint(checkpoint: str, label: str | None = None) -> JsonObject:
    """The model's row for a student: its checkpoint is its revision, and its name where it has no other."""
    return {
        "label": label or checkpoint,
        "engine": None,
        "role": None,
        "checkpoint": checkpoint,
        "model": checkpoint,
        "revision": checkpoint,
        "prompt_version": None,
    }


async def judge_of(services: Services, kind: Kind, settings: EvaluationSettings) -> JsonObject | None:
    """Who judges, fixed for the whole evaluation; None where nobody does."""
    if kind != JUDGED:
        return None
    return (await services.identity("assessor", settings.judge, fresh=True)).model_dump()


async def begin(
    c: AsyncConnection,
    run_id: str,
    name: str,
    benchmark: str,
    evaluation: JsonObject,
    cause: str,
) -> None:
    """The evaluation, running; nothing changes where it is there already.

    `evaluation`: model, settings, judge, of_run, of_iteration, automatic.
    """
    settings = EvaluationSettings.model_validate(evaluation["settings"])
    config = RunConfig(seed=settings.seed, max_failed_share=settings.max_failed_share).model_dump()
    run = {"id": run_id, "name": name, "dataset": benchmark, "config": config}
    if await evaluations.create(c, run, evaluation):
        told = {"model": evaluation["model"]["label"], "settings": evaluation["settings"]}
        await event_log.record(c, run_id, "created", cause, name=name, benchmark=benchmark, **told)
        await runs.set_status(c, run_id, "running", cause=cause)


async def marks_of(c: AsyncConnection, run_id: str) -> list[Mark]:
    """A mark for each question. What failed for good or cannot be read is wrong; a review that cannot be read
    has no value.
    """
    marks: list[Mark] = []
    async for rows in evaluations.all_items(c, run_id):
        marks += [_mark(row) for row in rows]
    return marks


def _mark(row: JsonObject) -> Mark:
    groups, review = tuple(row["content"]["groups"]), row["review"]
    if row["content"]["choices"]:
        return Mark(row["id"], groups, float(bool(row["correct"])))
    if review is None:
        return Mark(row["id"], groups, None)
    return Mark(row["id"], groups, review["student_score"], review["teacher_score"])  # None where unjudged
