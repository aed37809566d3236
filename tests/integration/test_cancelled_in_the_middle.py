"""A driver or worker that is cancelled at any moment ends, and leaves no connection to the garbage collector."""

import asyncio
import gc
import random
import warnings
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.coordinator.clients import Services
from services.coordinator.database import connect
from services.coordinator.driver import drive
from services.coordinator.outgoing import Http
from services.coordinator.queue import Queue
from services.coordinator.repositories.rows import insert
from services.coordinator.settings import CoordinatorSettings
from services.coordinator.trainer import Trainer
from services.coordinator.work_loops import Worker
from tests.doubles.town import KEYS
from tests.integration.builders import instruction, make_run
from tests.loopback import free_port

TIMES = 8
LONGEST_S = 0.25


@pytest.fixture
async def settings(postgres_url: str, redis_url: str) -> CoordinatorSettings:
    engine = connect(postgres_url)
    async with engine.begin() as c:
        await make_run(c)
        await insert(c, "instructions", [instruction(n, f"image {n}") for n in range(1, 40)])
    await engine.dispose()
    nobody = f"http://127.0.0.1:{free_port()}"
    urls = dict.fromkeys(("teacher_url", "assessor_url", "augmentor_url", "trainer_url"), nobody)
    return CoordinatorSettings(
        database_url=postgres_url, redis_url=redis_url, lease_s=0.3, tick_s=0.01, **urls
    )


async def driving(
    settings: CoordinatorSettings, engine: AsyncEngine, queue: Queue, services: Services
) -> None:
    await drive(settings, engine, queue, services, Trainer(services.http, settings.trainer_url))


async def working(
    settings: CoordinatorSettings, engine: AsyncEngine, queue: Queue, services: Services
) -> None:
    leading = asyncio.create_task(driving(settings, engine, queue, services))
    try:
        await Worker(settings, engine, queue, services).run()
    finally:
        leading.cancel()
        await asyncio.wait([leading])


@pytest.mark.parametrize("living", [driving, working])
async def test_no_connection_is_left_behind(
    settings: CoordinatorSettings, living: Callable[..., Awaitable[None]]
) -> None:
    moments = random.Random(0)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(TIMES):
            engine, services = connect(settings.database_url), Services(Http(KEYS, 5), settings)
            queue = Queue(settings.redis_url, settings.queue_name)
            life = asyncio.ensure_future(living(settings, engine, queue, services))
            await asyncio.sleep(moments.uniform(0, LONGEST_S))
            life.cancel()
            await asyncio.wait([life], timeout=10)
            assert life.done(), "the cancellation was lost"
            await services.close()
            await queue.close()
            await engine.dispose()
            gc.collect()
    assert [str(one.message)[:200] for one in seen] == []
