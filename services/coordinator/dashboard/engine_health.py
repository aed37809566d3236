"""How the engines behind a run are just now: asked through the role services, one question for all pages at once.

In: a role and the engine that the run has there, if one of its own. Out: an EngineState, whose `problem` says what
is wrong with the engine, or with the service before it.
"""

import asyncio
import time

from services.coordinator.clients import Services
from shared.errors import ComdError
from shared.types import EngineSpec, EngineState

KEPT_S = 5.0
TIMEOUT_S = 8.0  # the role service itself waits 5 s for its engine
ROLES = ("teacher", "assessor", "augmentor", "student")


class EngineHealth:
    """What one coordinator found of engines within the last seconds."""

    def __init__(self, services: Services):
        self._services = services
        self._looks: dict[tuple[str, EngineSpec | None], tuple[float, asyncio.Task[EngineState]]] = {}

    async def of(self, role: str, spec: EngineSpec | None) -> EngineState:
        """Kept for a moment: many pages ask the engine no more often than one."""
        now = time.monotonic()
        self._looks = {key: look for key, look in self._looks.items() if now - look[0] < KEPT_S}
        if (role, spec) not in self._looks:
            self._looks[role, spec] = (now, asyncio.create_task(self._look(role, spec)))
        return await asyncio.shield(self._looks[role, spec][1])

    async def _look(self, role: str, spec: EngineSpec | None) -> EngineState:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if role == "student":
                    return await self._trainer()
                return await self._services.engine_state(role, spec)
        except TimeoutError:
            problem = f"the {role}'s service gives no answer within {TIMEOUT_S:g} s"
        except ComdError as error:
            problem = error.message
        known = spec.model_dump(include={"base_url", "model", "revision", "kind"}) if spec else UNKNOWN
        return EngineState(**known, problem=problem)

    async def _trainer(self) -> EngineState:
        """The trainer serves the student by itself, and says in `/ready` what is wrong."""
        url = self._services.urls["student"]
        lacks, seconds = await self._services.http.readiness(url)
        known = {**UNKNOWN, "base_url": url}
        return EngineState(**known, problem=lacks, latency_ms=round(1000 * seconds, 1))


UNKNOWN = {"base_url": "", "model": "", "revision": None, "kind": "openai"}
