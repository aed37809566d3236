"""The driver: whoever leads looks at every active run again and again and moves it through its phases.

In: the state in Postgres. Out: tasks in the queue, jobs at the trainer, the next state in Postgres.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.coordinator.cancellation import end_if_cancelled
from services.coordinator.clients import Services
from services.coordinator.database import is_passing
from services.coordinator.leadership import Leader, LeadershipLost, heartbeat, leadership
from services.coordinator.outgoing import ItemFailed, Unreadable, Waiting
from services.coordinator.phases.asking import ask, ending, is_to_be_asked
from services.coordinator.phases.drive import Drive, Office, Outcome, RunFailed
from services.coordinator.phases.evaluating import evaluating
from services.coordinator.phases.measuring import measuring
from services.coordinator.phases.selecting import selecting
from services.coordinator.phases.tasked import assessing, augmenting, teaching
from services.coordinator.phases.training import pretraining, training
from services.coordinator.queue import Queue, patiently
from services.coordinator.repositories import event_log, iterations, planning, pools, runs
from services.coordinator.settings import CoordinatorSettings
from services.coordinator.states import RESTING, TASKED, Phase, Step, first_phase, step
from services.coordinator.tracking.tracking import track
from services.coordinator.trainer import Trainer
from shared import logs
from shared.masking import mask
from shared.types import JsonObject

PHASES: dict[str, Callable[[Drive, JsonObject], Awaitable[Outcome]]] = {
    "pretraining": pretraining,
    "teaching": teaching,
    "training": training,
    "evaluating": evaluating,
    "assessing": assessing,
    "selecting": selecting,
    "augmenting": augmenting,
    "measuring": measuring,
}
ELECTION_PAUSE_S = 1.0
QUEUE_LOOK_S = 0.5

log = logs.get(__name__)


async def drive(
    settings: CoordinatorSettings, engine: AsyncEngine, queue: Queue, services: Services, trainer: Trainer
) -> None:
    """For ever: wait to lead, lead, and wait again when the lead is lost."""
    while True:
        try:
            # in a task of its own: a group of tasks that fails leaves the mark of a cancellation on its task for ever
            await asyncio.create_task(_lead_once(settings, engine, queue, services, trainer))
        except* (LeadershipLost, SQLAlchemyError) as lost:
            log.warning("leadership_lost", reason=str(lost.exceptions[0])[:300])
        except* Exception as unexpected:
            log.error("driver_failed", exc_info=unexpected)
        end_if_cancelled()  # an error in the same moment takes a cancellation's place
        await asyncio.sleep(ELECTION_PAUSE_S)


async def _lead_once(
    settings: CoordinatorSettings, engine: AsyncEngine, queue: Queue, services: Services, trainer: Trainer
) -> None:
    """Wait for the lead, and lead until it is lost."""
    async with leadership(engine) as (leader, lock), asyncio.TaskGroup() as group:
        await _announce(leader)
        group.create_task(heartbeat(lock))
        group.create_task(_lead(Office(leader, queue, services, trainer, settings)))


async def _announce(leader: Leader) -> None:
    """The first thing that a leader writes: from here on its predecessor's writes are refused."""
    log.info("leading", epoch=leader.epoch)
    async with leader.transaction() as c:
        who = f"{socket.gethostname()}, process {os.getpid()}"
        await event_log.record(c, None, "leader", who, epoch=leader.epoch)


async def _lead(office: Office) -> None:
    """A task for every active run, so that one that waits never holds up another."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_watch_queue(office))
        group.create_task(track(office.leader))
        driven: dict[str, asyncio.Task[None]] = {}
        while True:
            async with office.leader.reader.connect() as c:
                active = await runs.active(c)
            for run_id in active:
                if run_id not in driven or driven[run_id].done():
                    driven[run_id] = group.create_task(_drive_run(Drive(office, run_id)))
            await asyncio.sleep(office.settings.tick_s)


async def _watch_queue(office: Office) -> None:
    """Notice that Redis lost what was published."""
    while True:
        if await patiently(office.queue.was_lost):
            await patiently(office.queue.remember)  # first: what is lost after this is noticed again
            office.generation += 1
        await asyncio.sleep(QUEUE_LOOK_S)


async def _drive_run(drive: Drive) -> None:
    """Until the run no longer runs and has given its lease back."""
    while True:
        async with drive.office.leader.reader.connect() as c:
            run = await runs.get(c, drive.run_id)
            iteration = await iterations.newest(c, drive.run_id)
        if run is None:
            return
        drive.take(run, iteration)
        if run["status"] != "running" and not run["holds_lease"]:
            return
        pause_s = await _look(drive, iteration)
        end_if_cancelled()  # clients can swallow it in the middle of a call
        await asyncio.sleep(pause_s)


async def _look(drive: Drive, iteration: JsonObject | None) -> float:
    """One look at the run; the seconds until the next. What goes wrong is shown on the run."""
    try:
        if drive.run["status"] != "running":
            await _stop(drive, iteration)
        elif iteration is None:
            await _start(drive)
        elif await _step(drive, iteration):
            return 0.0  # the next phase begins at once
        return drive.office.settings.tick_s
    except (Waiting, Unreadable, RedisError) as error:
        if iteration is not None and drive.run["status"] == "running":
            await drive.show_waiting(iteration, str(error))
        return max(drive.office.settings.tick_s, getattr(error, "retry_after_s", 1.0))
    except (RunFailed, ItemFailed) as error:
        await _fail(drive, error.message)
    except LeadershipLost:
        raise
    except Exception as error:
        if is_passing(error):
            raise
        log.error("run_failed", run_id=drive.run_id, exc_info=error)
        await _fail(drive, mask(f"{type(error).__name__}: {error}"))
    return drive.office.settings.tick_s


async def _start(drive: Drive) -> None:
    """Iteration 0, and the data set's instructions as the first pool."""
    async with drive.office.leader.transaction() as c:
        await runs.hold(c, drive.run_id)
        if drive.plan.kind == "training":
            await pools.seed(c, drive.run_id, drive.run["dataset"])
        await iterations.start(c, drive.run_id, 0, first_phase(0, drive.plan))


async def _step(drive: Drive, iteration: JsonObject) -> bool:
    """One look at the iteration's phase; True where it is over."""
    phase: Phase = iteration["phase"]
    outcome = Outcome.OVER if phase in RESTING else await PHASES[phase](drive, iteration)
    if outcome is Outcome.GOES_ON:
        return False
    ended = None
    if phase in TASKED:
        ended = await ending(drive, iteration)
        if is_to_be_asked(ended, drive.config.max_failed_share):
            await ask(drive, iteration, ended)
            return False
    way_on = step(iteration["number"], phase, drive.plan, exhausted=outcome is Outcome.EXHAUSTED)
    if way_on.phase is None or way_on.phase in RESTING:
        await drive.release()
    return await _move(drive, iteration, way_on, ended)


async def _move(drive: Drive, iteration: JsonObject, way_on: Step, ended: JsonObject | None) -> bool:
    """Into the next phase, into the next iteration, or to the run's end; one transaction.

    False where the run was stopped, or its phase is not over any more.
    """
    number, before = iteration["number"], iteration["phase"]
    async with drive.office.leader.transaction() as c:
        if await runs.hold(c, drive.run_id) != "running":
            return False
        if way_on.phase is not None:
            retries = iteration["retries"]
            if not await iterations.move(
                c, drive.run_id, number, before, way_on.phase, retries=retries, ended=ended
            ):
                return False
            await planning.forget(c, drive.run_id, number, before)
            await runs.set_progress(c, drive.run_id, {})
        if way_on.ends is not None:
            await runs.end(c, drive.run_id, way_on.ends, _why_exhausted(iteration, way_on))
        if way_on.begins is not None:
            await iterations.start(c, drive.run_id, number + 1, way_on.begins)
    log.info("phase_over", run_id=drive.run_id, iteration=number, phase=before, next=way_on.phase)
    drive.forget_shown()
    return True


def _why_exhausted(iteration: JsonObject, way_on: Step) -> str | None:
    if way_on.ends != "exhausted":
        return None
    what = "selected" if iteration["phase"] == "selecting" else "accepted"
    return f"iteration {iteration['number']}: nothing was {what}"


async def _stop(drive: Drive, iteration: JsonObject | None) -> None:
    """The run was paused or came to its end while it had the trainer."""
    cancelled = drive.run["status"] == "cancelled"
    trains = iteration is not None and iteration["phase"] in {"pretraining", "training"}
    if iteration is not None and trains and iteration["job_id"]:
        if not cancelled:  # the job goes on while the run is paused; its lease lasts as long as it does
            job = await drive.office.trainer.job(iteration["job_id"])
            if job.get("status") in {"queued", "running"}:
                return
        else:
            await drive.office.trainer.cancel_job(iteration["job_id"])
    async with drive.office.leader.reader.connect() as c:
        if not cancelled and await planning.are_leased(c, drive.run_id):
            return  # the student still answers what it was asked before the pause
    await drive.release()


async def _fail(drive: Drive, message: str) -> None:
    log.warning("run_stopped", run_id=drive.run_id, reason=message)
    async with drive.office.leader.transaction() as c:
        await runs.end(c, drive.run_id, "failed", message)
