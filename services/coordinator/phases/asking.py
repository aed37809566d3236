"""How a phase ended: done, done with failures, or with so many of them that the run is paused and asks."""

from services.coordinator.phases.drive import Drive
from services.coordinator.repositories import event_log, failures, iterations, runs
from shared import logs
from shared.types import JsonObject

log = logs.get(__name__)


async def ending(drive: Drive, iteration: JsonObject) -> JsonObject:
    """What the iteration keeps of its phase that is over; `asked_about` failures are not asked about again."""
    number, phase = iteration["number"], iteration["phase"]
    async with drive.office.leader.reader.connect() as c:
        stand = await failures.stand(c, drive.run_id, number, phase)
    before = iteration["endings"].get(phase, {})
    ended = "done with failures" if stand["failed"] else "done"
    return {"ended": ended, **stand, "asked_about": before.get("asked_about", 0)}


def is_to_be_asked(ended: JsonObject, max_failed_share: float | None) -> bool:
    """Whether more failed than the run takes in silence, and a person was not asked about it before."""
    if max_failed_share is None or ended["failed"] <= ended["asked_about"]:
        return False
    return bool(ended["failed"] > max_failed_share * ended["items"])


async def ask(drive: Drive, iteration: JsonObject, ended: JsonObject) -> None:
    """Pause the run with a question as its reason, unless somebody has stopped it or retries already."""
    number, phase = iteration["number"], iteration["phase"]
    reason = question(drive.run["name"], number, phase, ended, drive.config.max_failed_share or 0)
    asked = {**ended, "ended": "asks", "asked_about": ended["failed"]}
    async with drive.office.leader.transaction() as c:
        if await runs.hold(c, drive.run_id) != "running":
            return
        if await iterations.note_ending(c, drive.run_id, number, phase, asked, retries=iteration["retries"]):
            told = {"iteration": number, "phase": phase, **ended}
            await event_log.record(c, drive.run_id, "failures_asked_about", runs.SYSTEM, **told)
            await runs.set_status(c, drive.run_id, "paused", reason)
            log.warning("run_asks", run_id=drive.run_id, reason=reason)


def question(name: str, number: int, phase: str, ended: JsonObject, max_failed_share: float) -> str:
    """How many failed, of what, and the two ways on."""
    share = ended["failed"] / ended["items"] if ended["items"] else 1.0
    reasons = "; ".join(f"{row['failed']} x {row['reason']}" for row in ended["reasons"])
    return (
        f"iteration {number}, {phase}: {ended['failed']} of {ended['items']} failed ({share:.1%}, and "
        f"max_failed_share is {max_failed_share:.1%}): {reasons}. "
        f"Ask them again with `comd run retry {name}`, or go on without them with `comd run resume {name}`"
    )
