"""Whom an evaluation measures, and who judges: checked before it begins, by the way they will be asked."""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.api.frame import Desk
from services.coordinator.api.probing import check_engine
from services.coordinator.benchmarks.items import JUDGED, Kind
from services.coordinator.evaluation_settings import EvaluationSettings, TestedModel
from services.coordinator.evaluations import judge_of, of_checkpoint
from services.coordinator.outgoing import ItemFailed, Unreadable, Waiting, path
from services.coordinator.repositories import iterations, runs
from services.coordinator.run_config import RunConfig
from services.coordinator.tested import Subject, check_likelihoods
from shared.errors import NotFound, Unprocessable
from shared.types import JsonObject


async def tested_model(
    desk: Desk, asked: TestedModel, settings: EvaluationSettings, *, with_picture: bool
) -> tuple[JsonObject, str | None, int | None]:
    """The model's row, and the run and iteration whose student it is; Unprocessable where it cannot be asked."""
    if asked.run is not None:
        async with desk.engine.connect() as c:
            run, number, checkpoint = await _student_of(c, asked.run, asked.iteration)
        return of_checkpoint(checkpoint, f"{run['name']}, iteration {number}"), run["id"], number
    if asked.checkpoint is not None:
        await _check_checkpoint(desk, asked.checkpoint)
        return of_checkpoint(asked.checkpoint), None, None
    await check_engine(desk.services, "teacher", asked.engine, with_picture=with_picture)
    if settings.method == "likelihood":
        await check_likelihoods(desk.services, Subject(asked.engine, asked.role, None))
    return await _answering(desk, asked), None, None


async def _answering(desk: Desk, asked: TestedModel) -> JsonObject:
    """An engine, or the teacher service with its own prompt, by who answers there just now."""
    identity = await desk.services.identity("teacher", asked.engine)
    return {
        "label": identity.model if asked.engine else f"teacher ({identity.model})",
        "engine": None if asked.engine is None else asked.engine.model_dump(),
        "role": asked.role,
        "checkpoint": None,
        "model": identity.model,
        "revision": identity.revision,
        "prompt_version": identity.prompt_version if asked.role else None,
    }


async def _student_of(c: AsyncConnection, id_or_name: str, number: int | None) -> tuple[JsonObject, int, str]:
    """A run's student after an iteration (default: its newest); of iteration 0, before any training."""
    run = await runs.find(c, id_or_name)
    if run is None or run["kind"] != "training":
        raise NotFound(f"there is no run {id_or_name!r}; GET /v1/runs lists them", code="run_not_found")
    rows = {row["number"]: row["checkpoint"] for row in await iterations.everything(c, run["id"])}
    if number is None:
        number = max((one for one, checkpoint in rows.items() if checkpoint), default=0)
    checkpoint = rows.get(number)
    if number == 0 and checkpoint is None:
        checkpoint = RunConfig.model_validate(run["config"]).student.base
    if checkpoint is None:
        raise Unprocessable(f"iteration {number} of run {run['name']!r} has no student yet", param="model")
    return run, number, checkpoint


async def _check_checkpoint(desk: Desk, checkpoint: str) -> None:
    url = f"{desk.settings.trainer_url}/v1/models/{path(checkpoint)}"
    try:
        await desk.services.http.request("GET", url)
    except (Waiting, ItemFailed, Unreadable) as error:
        raise Unprocessable(f"model: {error.message}", param="model") from error


async def check_judge(desk: Desk, kind: Kind, settings: EvaluationSettings) -> JsonObject | None:
    """Who judges; Unprocessable where he cannot be asked. None where the benchmark has known answers."""
    if kind == JUDGED:
        sees = settings.judge_sees == "image"
        await check_engine(desk.services, "assessor", settings.judge, with_picture=sees)
    return await judge_of(desk.services, kind, settings)
