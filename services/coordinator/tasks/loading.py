"""Reads what claimed tasks have to do. In: claims of one run, iteration and phase. Out: a Work for each."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.measured import measured_of
from services.coordinator.repositories import evaluations, iterations, runs, work
from services.coordinator.repositories.tasks import Claim
from services.coordinator.run_config import RunConfig
from services.coordinator.tasks.work import Work
from shared.types import EngineSpec, JsonObject


async def load_work(c: AsyncConnection, claims: Sequence[Claim]) -> list[Work]:
    """What claims of one run, iteration and phase have to do."""
    key, images = claims[0].key, [claim.key.image for claim in claims]
    run = await runs.get(c, key.run_id)
    iteration = await iterations.get(c, key.run_id, key.iteration)
    assert run, "a claim names a run that exists"
    assert iteration, "a claim names an iteration that exists"
    config = RunConfig.model_validate(run["config"])
    checkpoint = (
        iteration["checkpoint"]
        or await iterations.newest_checkpoint(c, key.run_id, key.iteration)
        or config.student.base
    )
    where = (c, key.run_id, key.iteration)
    if key.phase == "assessing":
        judge = iteration["judge"]
        items = await work.assessing_inputs(*where, images, checkpoint=checkpoint, judge=judge)
    else:
        items = await work.inputs(*where, key.phase, images)
    texts, born = list[JsonObject](), list[JsonObject]()
    if key.phase == "augmenting":
        texts = await work.existing_texts(c, key.run_id, key.iteration, images)
        born = await work.inputs(c, key.run_id, key.iteration + 1, "teaching", images)
    evaluation = await evaluations.get(c, key.run_id) if key.phase == "measuring" else None
    engines = {role: EngineSpec.model_validate(spec) for role, spec in run["engines"].items()}
    return [
        Work(
            claim,
            config,
            engines,
            checkpoint,
            iteration["judge"] or {},
            {"engines": run["engines"], "judge": iteration["judge"]},
            _of(claim, items),
            [text["text"] for text in _of(claim, texts)],
            _of(claim, born),
            None if evaluation is None else measured_of(evaluation),
        )
        for claim in claims
    ]


def _of(claim: Claim, rows: Sequence[JsonObject]) -> list[JsonObject]:
    return [row for row in rows if row["image"] == claim.key.image]
