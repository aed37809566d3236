"""The phase after a training: the new student answers the held-out questions, and the run's benchmarks measure it."""

from services.coordinator.phases.drive import Drive, Outcome
from services.coordinator.phases.measuring import measure_student
from services.coordinator.phases.tasked import heldout
from shared.types import JsonObject


async def evaluating(drive: Drive, iteration: JsonObject) -> Outcome:
    number = iteration["number"]
    if drive.config.evaluation is not None and drive.heldout_done != number:
        if await heldout(drive, iteration) is not Outcome.OVER:
            return Outcome.GOES_ON
        drive.heldout_done = number
    return await measure_student(drive, iteration) if drive.config.benchmarks else Outcome.OVER
