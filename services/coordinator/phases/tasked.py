"""Phases that are worked off by tasks, one an image: plan, publish, watch, plan again until nothing lacks."""

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from services.coordinator.costs import in_nanos
from services.coordinator.matching import accuracy_by_kind
from services.coordinator.phases.drive import NEVER_PUBLISHED, Drive, Outcome
from services.coordinator.repositories import budgets, iterations, outcomes, planning, runs, work
from shared import logs
from shared.types import JsonObject

FIRST_ANALYZED_AT = 1000  # tasks of a phase

log = logs.get(__name__)


async def teaching(drive: Drive, iteration: JsonObject) -> Outcome:
    """Every instruction of the tuning pool gets its teacher answer, or a failure that says why not."""
    return Outcome.OVER if await work_off(drive, iteration) else Outcome.GOES_ON


async def heldout(drive: Drive, iteration: JsonObject) -> Outcome:
    """The newest student answers the held-out questions."""
    await drive.lease(await checkpoint_of(drive, iteration))
    if not await work_off(drive, iteration):
        return Outcome.GOES_ON
    async with drive.office.leader.transaction() as c:
        mean, by_kind = accuracy_by_kind(await outcomes.heldout_marks(c, drive.run_id, iteration["number"]))
        await iterations.record(
            c, drive.run_id, iteration["number"], heldout_accuracy=mean, heldout_by_kind=by_kind
        )
    return Outcome.OVER


async def assessing(drive: Drive, iteration: JsonObject) -> Outcome:
    """The student answers the whole cache pool and each answer is judged; the judge is fixed at the start."""
    number, checkpoint = iteration["number"], await checkpoint_of(drive, iteration)
    if iteration["judge"] is None:
        await _fix_judge(drive, number)
    if drive.students_done != number:
        if drive.wants_counting and not await _students_lack(drive, number, checkpoint):
            await drive.release()  # the judge goes on without the student
            drive.students_done = number
        else:
            await drive.lease(checkpoint)
    return Outcome.OVER if await work_off(drive, iteration) else Outcome.GOES_ON


async def augmenting(drive: Drive, iteration: JsonObject) -> Outcome:
    """New instructions from the selected ones; the round is exhausted where (almost) none was accepted."""
    if not await work_off(drive, iteration):
        return Outcome.GOES_ON
    async with drive.office.leader.transaction() as c:
        counts = await outcomes.candidate_counts(c, drive.run_id, iteration["number"])
        await iterations.record(c, drive.run_id, iteration["number"], **counts)
    selected = iteration["difficult"] + iteration["easy"]
    least = (drive.config.early_stop.min_accepted_share or 0) * selected
    enough = counts["accepted"] > 0 and counts["accepted"] >= least
    return Outcome.OVER if enough else Outcome.EXHAUSTED


async def work_off(drive: Drive, iteration: JsonObject) -> bool:
    """One look at the tasks of the iteration's phase; True when no image lacks a result any more."""
    number, phase = iteration["number"], iteration["phase"]
    async with drive.office.leader.reader.connect() as c:
        look = await planning.look(c, drive.run_id, number, phase, drive.published_after)
    is_new = not look.ready and look.out == 0
    if is_new and not await _plan(drive, number, phase):
        return True
    lost = drive.published_generation != drive.office.generation
    half = drive.office.settings.published_at_once // 2  # refilled when half empty: most looks write nothing
    if lost or is_new or (look.ready and look.out <= half):
        await _publish(drive, number, phase, out=look.out, again=lost)
    if drive.wants_counting:
        await _show(drive, iteration)
    return False


async def _plan(drive: Drive, number: int, phase: str) -> int:
    """The number of images that lack something. The only statement of a phase whose cost grows with the pool."""
    drive.published_after, drive.num_published, drive.analyze_at = "", 0, FIRST_ANALYZED_AT
    async with drive.office.leader.reader.connect() as c:
        await planning.analyze(c)
    async with drive.office.leader.transaction() as c:
        num_tasks = await planning.plan(c, drive.run_id, number, phase, work.LACKING[phase])
    if num_tasks:
        async with drive.office.leader.reader.connect() as c:
            await planning.analyze(c, "tasks")
    return num_tasks


async def _publish(drive: Drive, number: int, phase: str, *, out: int, again: bool) -> None:
    """Fill the queue up to its bound; `again`: what was out when the queue was lost, too."""
    office = drive.office
    generation, after = office.generation, "" if again else drive.published_after
    async with office.leader.transaction() as c:
        bound = await _affordable(c, drive, out) if out else office.settings.published_at_once
        keys = await planning.publish(c, drive.run_id, number, phase, bound, again=again, after=after)
    # forgotten until it is sent, so that a queue that fails here gets all of it again
    drive.published_generation = NEVER_PUBLISHED
    # after the commit: a worker that heard of a task before would find it unpublished and let the message go
    await office.queue.publish([orjson.dumps(key.as_json()) for key in keys])
    drive.published_generation = generation
    if keys:
        drive.published_after = max((key.image for key in keys if key.image > after), default="")
    await _keep_statistics(drive, len(keys))
    if again and keys:
        log.info("tasks_published_again", run_id=drive.run_id, phase=phase, num_tasks=len(keys))


async def _keep_statistics(drive: Drive, num_published: int) -> None:
    """Statistics as the phase fills its tables, whenever that has doubled: tasks are read by what the planner knows."""
    drive.num_published += num_published
    if drive.num_published >= drive.analyze_at:
        drive.analyze_at = 2 * drive.num_published
        async with drive.office.leader.reader.connect() as c:
            await planning.analyze(c)


async def _affordable(c: AsyncConnection, drive: Drive, out: int) -> int:
    """How many tasks may be out: where some found too little left of the budget, only as many more as it pays."""
    bound, budget = drive.office.settings.published_at_once, drive.config.budget
    refused = None if budget is None else await budgets.smallest_refused(c, drive.run_id)
    if budget is None or refused is None:
        return bound
    stand = await budgets.stand(c, drive.run_id)
    left = in_nanos(budget.limit) - stand.spent - stand.reserved
    return min(bound, out + max(0, left // refused))


async def checkpoint_of(drive: Drive, iteration: JsonObject) -> str:
    """The student of the iteration: its own checkpoint, else the newest before, else the base."""
    if iteration["checkpoint"]:
        return str(iteration["checkpoint"])
    async with drive.office.leader.reader.connect() as c:
        newest = await iterations.newest_checkpoint(c, drive.run_id, iteration["number"])
    return newest or drive.config.student.base


async def _fix_judge(drive: Drive, number: int) -> None:
    engine = drive.engine("assessor")
    identity = await drive.office.services.identity("assessor", engine, fresh=True)
    judge = {**identity.model_dump(), "engine": None if engine is None else engine.model_dump()}
    async with drive.office.leader.transaction() as c:
        await runs.hold(c, drive.run_id)
        await outcomes.leave_unanswered_unjudged(c, drive.run_id, number)
        await iterations.fix_judge(c, drive.run_id, number, judge)


async def _students_lack(drive: Drive, number: int, checkpoint: str) -> bool:
    with drive.counting():
        async with drive.office.leader.engine.connect() as c:
            return await work.num_students_lacking(c, drive.run_id, number, checkpoint) > 0


async def _show(drive: Drive, iteration: JsonObject) -> None:
    with drive.counting():
        async with drive.office.leader.engine.connect() as c:
            done, total = await work.progress(c, drive.run_id, iteration["number"], iteration["phase"])
            waiting = await planning.waiting_note(c, drive.run_id)
    unit = "questions" if iteration["phase"] == "measuring" else "instructions"
    await drive.show(iteration, done, total, waiting=waiting, unit=unit)
