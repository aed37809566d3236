"""The phases that measure: an evaluation's own, and the wait of a run for the evaluations of its student."""

import asyncio

from services.coordinator.benchmarks.scores import scores
from services.coordinator.evaluation_settings import BenchmarkConfig
from services.coordinator.evaluations import begin, judge_of, marks_of, of_checkpoint, settled
from services.coordinator.measured import measured_of
from services.coordinator.phases.drive import Drive, Outcome, RunFailed
from services.coordinator.phases.tasked import checkpoint_of, work_off
from services.coordinator.repositories import benchmarks, evaluations, runs
from shared.identity import digest
from shared.types import JsonObject

OVER = ("finished", "cancelled")
ID_CHARACTERS = 12


async def measuring(drive: Drive, iteration: JsonObject) -> Outcome:
    """Every question gets its mark, or a failure that says why not; then the table is counted."""
    async with drive.office.leader.reader.connect() as c:
        evaluation = await evaluations.get(c, drive.run_id)
    assert evaluation is not None, "a run of this kind has one"
    measured = measured_of(evaluation)
    if measured.where.checkpoint is not None:
        await drive.lease(measured.where.checkpoint)
    if not await work_off(drive, iteration):
        return Outcome.GOES_ON
    async with drive.office.leader.reader.connect() as c:
        marks = await marks_of(c, drive.run_id)
    table = await asyncio.to_thread(scores, measured.kind, marks, measured.settings.seed)
    async with drive.office.leader.transaction() as c:
        await evaluations.set_scores(c, drive.run_id, {column: vars(cell) for column, cell in table.items()})
    return Outcome.OVER


async def measure_student(drive: Drive, iteration: JsonObject) -> Outcome:
    """The run's benchmarks measure the iteration's student, each in an evaluation of its own; the run waits."""
    checkpoint = await checkpoint_of(drive, iteration)
    wanted = {_id(drive, iteration, checkpoint, one): one for one in drive.config.benchmarks}
    async with drive.office.leader.reader.connect() as c:
        begun = {row["id"]: row for row in await evaluations.begun_by(c, list(wanted))}
    await drive.release()  # each evaluation takes the trainer for itself
    for evaluation_id, one in wanted.items():
        if evaluation_id not in begun:
            await _begin(drive, iteration, checkpoint, evaluation_id, one)
    going = [row for row in begun.values() if row["status"] not in OVER]
    if len(begun) == len(wanted) and not going:
        return Outcome.OVER
    if going:
        await _show(drive, iteration, going[0])
    return Outcome.GOES_ON


def _id(drive: Drive, iteration: JsonObject, checkpoint: str, one: BenchmarkConfig) -> str:
    """The same at every look, so that whoever leads finds what was begun before."""
    what = digest("evaluation", drive.run_id, iteration["number"], checkpoint, one.model_dump())
    return f"run-{what[:ID_CHARACTERS]}"


async def _begin(
    drive: Drive, iteration: JsonObject, checkpoint: str, evaluation_id: str, one: BenchmarkConfig
) -> None:
    async with drive.office.leader.reader.connect() as c:
        benchmark = await benchmarks.get(c, one.benchmark)
    if benchmark is None:
        raise RunFailed(f"there is no benchmark {one.benchmark!r}; register it, then resume the run")
    settings = settled(one.settings, benchmark["kind"])
    number = iteration["number"]
    name = f"{drive.run['name']}, iteration {number}"
    evaluation = {
        "model": of_checkpoint(checkpoint, name),
        "settings": settings.model_dump(),
        "judge": await judge_of(drive.office.services, benchmark["kind"], settings),
        "of_run": drive.run_id,
        "of_iteration": number,
        "automatic": True,
    }
    async with drive.office.leader.transaction() as c:
        if await runs.hold(c, drive.run_id) == "running":
            await begin(c, evaluation_id, name, one.benchmark, evaluation, runs.SYSTEM)


async def _show(drive: Drive, iteration: JsonObject, row: JsonObject) -> None:
    """How far the first is that still goes on; one that stands still needs a person."""
    progress = row["progress"]
    waiting = progress.get("waiting")
    if row["status"] != "running":
        waiting = (
            f"the evaluation {row['id']} is {row['status']}: {row['reason'] or 'somebody stopped it'}; "
            f"`comd run resume {row['id']}` goes on with it, `comd run cancel {row['id']}` goes on without it"
        )
    await drive.show(
        iteration, progress.get("done"), progress.get("total"), waiting=waiting, unit="questions"
    )
