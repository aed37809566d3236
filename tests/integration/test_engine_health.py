"""What the pages find of engines: a trainer that is not ready, nobody there, and one question for many."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.coordinator.clients import Services
from services.coordinator.dashboard.engine_health import EngineHealth
from services.coordinator.outgoing import Http
from services.coordinator.settings import CoordinatorSettings
from shared.service import Readiness, create_app
from shared.types import EngineSpec
from tests.doubles.town import KEYS
from tests.loopback import free_port, serving

SPEC = EngineSpec(base_url="http://127.0.0.1:9", model="m", kind="vllm")


class Half:
    """A service that says why it is not ready, and counts who asks."""

    def __init__(self) -> None:
        self.asked = 0

    async def probe(self) -> Readiness:
        self.asked += 1
        return Readiness(False, "the warm parent is being started")


@pytest.fixture
async def found(tmp_path: Path) -> AsyncIterator[tuple[EngineHealth, Half]]:
    """The trainer is half there, and no role service is."""
    half, nobody = Half(), f"http://127.0.0.1:{free_port()}"
    with serving(create_app("trainer", KEYS, half.probe)) as trainer_url:
        urls = {"teacher_url": nobody, "assessor_url": nobody, "augmentor_url": nobody}
        settings = CoordinatorSettings(image_store=str(tmp_path), trainer_url=trainer_url, **urls)
        services = Services(Http(KEYS, 10), settings)
        yield EngineHealth(services), half
        await services.close()


async def test_a_trainer_says_what_it_lacks(found: tuple[EngineHealth, Half]) -> None:
    state = await found[0].of("student", None)
    assert state.problem == "the warm parent is being started"
    assert state.latency_ms is not None


async def test_a_service_that_is_away_is_a_problem_with_what_is_known(
    found: tuple[EngineHealth, Half],
) -> None:
    for role in ("teacher", "assessor"):
        state = await found[0].of(role, SPEC)
        assert "cannot be reached" in str(state.problem)
        assert (state.base_url, state.model, state.latency_ms) == (SPEC.base_url, "m", None)
    assert (await found[0].of("augmentor", None)).base_url == ""


async def test_many_pages_ask_once(found: tuple[EngineHealth, Half]) -> None:
    health, half = found
    await asyncio.gather(*(health.of("student", None) for _ in range(20)))
    await health.of("student", None)
    assert half.asked == 1
