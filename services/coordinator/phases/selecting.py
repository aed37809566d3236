"""Selection (step 5): one statement over the verdicts, and the iteration's counts beside it."""

from services.coordinator.phases.drive import Drive, Outcome
from services.coordinator.repositories import event_log, iterations, outcomes, runs
from shared import logs
from shared.types import JsonObject

UNJUDGED_WARNING = 0.02  # a larger share is worth a person's look

log = logs.get(__name__)


async def selecting(drive: Drive, iteration: JsonObject) -> Outcome:
    """The parents of the next round; the run is exhausted where there are none."""
    number, config = iteration["number"], drive.config
    async with drive.office.leader.transaction() as c:
        await runs.hold(c, drive.run_id)
        await outcomes.select(
            c,
            drive.run_id,
            number,
            mode=config.selection.mode,
            number=config.selection.number,
            tau=config.tau,
            seed=config.seed,
        )
        verdicts = await outcomes.verdict_counts(c, drive.run_id, number)
        selected = await outcomes.selection_counts(c, drive.run_id, number)
        await iterations.record(c, drive.run_id, number, **verdicts, **selected)
        await event_log.record(
            c,
            drive.run_id,
            "selection_made",
            runs.SYSTEM,
            iteration=number,
            tau=config.tau,
            **verdicts,
            **selected,
        )
    if verdicts["unjudged"] > UNJUDGED_WARNING * (iteration["cache_pool"] or 0):
        log.warning("many_unjudged", run_id=drive.run_id, iteration=number, num_unjudged=verdicts["unjudged"])
    return Outcome.OVER if sum(selected.values()) else Outcome.EXHAUSTED
