"""A real worker whose models answer inside it: `python -m benchmarks.scaling.worker`.

In: the coordinator's settings. Everything but the calls is as in `services.coordinator.worker`.
"""

import asyncio
import contextlib
import signal
from typing import Any, cast

import uvloop

from benchmarks.scaling import instant
from services.coordinator.clients import Answer, Services
from services.coordinator.database import connect
from services.coordinator.queue import Queue
from services.coordinator.settings import CoordinatorSettings
from services.coordinator.work_loops import Worker
from shared import logs
from shared.settings import load
from shared.types import (
    Assessment,
    AssessmentRequest,
    Augmentation,
    AugmentationRequest,
    Candidate,
    JudgeRun,
    Role,
    RoleIdentity,
    Sampling,
    Usage,
)

USED = Usage(prompt_tokens=640, completion_tokens=32, calls=1)
SAID_BY = {"model": "instant", "revision": "instant-1", "prompt_version": "1"}


def identity(role: str) -> RoleIdentity:
    return RoleIdentity(role=cast(Role, role), sampling=Sampling(), **SAID_BY)


class InstantServices:
    """The calls of `Services` as tasks make them, answered here."""

    async def identity(self, role: str, *_: Any, **__: Any) -> RoleIdentity:
        return identity(role)

    async def chat(self, *_: Any) -> Answer:
        return Answer(instant.ANSWER, "stop", USED)

    async def assess(self, asked: AssessmentRequest, *_: Any) -> Assessment:
        evidence = "Both answers say what is there, the first one in more detail. " * 3
        runs, both = list[JudgeRun](), list[int]()
        for order in ("teacher_first", "student_first"):
            score = instant.scores()[0]
            both.append(score)
            said = {"teacher_score": score, "student_score": score, "evidence": evidence, "raw": evidence}
            runs.append(JudgeRun.model_validate({"order": order, "attempts": 1, **said}))
        mean = sum(both) / 2
        told = {"teacher_score": mean, "student_score": mean, "difficulty": 1 / mean}
        return Assessment(runs=runs, usage=USED, **told, **SAID_BY)

    async def augment(self, asked: AugmentationRequest, *_: Any) -> Augmentation:
        accepted = [Candidate(parent_id=one.id, attempt=1, text=instant.question()) for one in asked.parents]
        return Augmentation(accepted=accepted, rejected=[], usage=USED, **SAID_BY)


async def main(settings: CoordinatorSettings) -> None:
    engine = connect(settings.database_url, connections=6)
    services = cast(Services, InstantServices())
    worker = Worker(settings, engine, Queue(settings.redis_url, settings.queue_name), services)
    working = asyncio.create_task(worker.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await working
    await engine.dispose()


if __name__ == "__main__":
    logs.configure("worker")
    uvloop.run(main(load(CoordinatorSettings, program="scaling.worker")))
