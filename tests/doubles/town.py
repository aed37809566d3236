"""The whole system inside one test: real apps on loopback in threads, a worker in the test's own loop.

Cheaper to start than processes, and the stub trainer and the scripted engine are at hand.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from comd.scripted.app import create_app as create_engine_app
from comd.scripted.roles import Behaviour
from comd.world import dataset
from services.assessor.app import AssessorSettings, create_assessor_app
from services.augmentor.app import AugmentorSettings, create_augmentor_app
from services.coordinator.app import create_coordinator_app
from services.coordinator.clients import Services
from services.coordinator.database import connect
from services.coordinator.outgoing import Http
from services.coordinator.queue import Queue
from services.coordinator.settings import CoordinatorSettings
from services.coordinator.work_loops import Worker
from services.teacher.app import TeacherSettings, create_teacher_app
from shared.keys import Keys
from shared.types import EngineSpec, Sampling
from tests.doubles.stub_trainer import StubTrainer, create_stub_app
from tests.loopback import serving

KEYS = Keys(api="api-key", internal="internal-key")
PATIENCE_S = 40.0


@dataclass
class Town:
    """A running system: its REST, its parts that tests reach into, its data."""

    http: httpx.AsyncClient
    settings: CoordinatorSettings
    trainer: StubTrainer
    engine_url: str
    folder: Path

    async def get(self, path: str, **query: Any) -> Any:
        reply = await self.http.get(path, params=query)
        assert reply.is_success, reply.text
        return reply.json()

    async def post(self, path: str, body: Any = None, **headers: str) -> Any:
        reply = await self.http.post(path, json=body, headers=headers)
        assert reply.is_success, reply.text
        return reply.json()

    async def register(self) -> None:
        """The world's three data sets: `world`, `captions`, `heldout`."""
        for name, file, images, purpose in (
            ("world", "instruct.json", "images", "instruct"),
            ("captions", "captions.json", "images", "pretrain"),
            ("heldout", "heldout.json", "heldout", "evaluation"),
        ):
            paths = {"path": str(self.folder / file), "images": str(self.folder / images)}
            await self.post("/v1/datasets", {"name": name, "purpose": purpose, **paths})

    async def begin(self, **config: Any) -> str:
        """Create a run and start it."""
        await self.register()
        run = await self.post("/v1/runs", {"name": "run", "dataset": "world", "config": config})
        await self.post(f"/v1/runs/{run['id']}/iterations", {})
        return str(run["id"])

    async def wait(self, run_id: str, found: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The run, once it is as wanted."""
        async with asyncio.timeout(PATIENCE_S):
            while not found(run := await self.get(f"/v1/runs/{run_id}")):
                await asyncio.sleep(0.03)
        return dict(run)

    async def wait_for_end(self, run_id: str) -> dict[str, Any]:
        return await self.wait(run_id, lambda run: run["status"] != "running")

    async def set_faults(self, *rules: dict[str, Any]) -> None:
        await self.http.post(f"{self.engine_url}/scripted/faults", json=list(rules))


@contextlib.asynccontextmanager
async def town(
    folder: Path,
    postgres_url: str,
    redis_url: str,
    num_pictures: int = 6,
    num_workers: int = 1,
    max_tokens: int = 512,
    **more: Any,
) -> AsyncIterator[Town]:
    """The system while the context lasts; `more` are settings of the coordinator and its workers."""
    data, images = folder / "data", str(folder / "images")
    dataset.write(data, 0, num_pictures, num_heldout_per_kind=1)
    async with contextlib.AsyncExitStack() as stack:
        engine_url = stack.enter_context(serving(create_engine_app(Behaviour())))
        spec = EngineSpec(base_url=engine_url, model="scripted", kind="scripted")
        told: dict[str, Any] = {
            "engine": spec,
            "image_store": images,
            "sampling": Sampling(max_tokens=max_tokens),
        }
        trainer = StubTrainer(engine_url)
        apps = {
            "teacher": create_teacher_app(TeacherSettings(port=1, **told), KEYS),
            "assessor": create_assessor_app(AssessorSettings(port=1, **told), KEYS),
            "augmentor": create_augmentor_app(AugmentorSettings(port=1, **told), KEYS),
            "trainer": create_stub_app(trainer, KEYS, images),
        }
        urls = {f"{name}_url": stack.enter_context(serving(app)) for name, app in apps.items()}
        own = {"image_store": images, "data_roots": (folder,), "lease_s": 2, "tick_s": 0.03}
        settings = CoordinatorSettings(
            database_url=postgres_url, redis_url=redis_url, **{**own, **urls, **more}
        )
        url = stack.enter_context(serving(create_coordinator_app(settings, KEYS)))
        headers = {"authorization": f"Bearer {KEYS.api}"}
        for _ in range(num_workers):
            await stack.enter_async_context(_working(settings))
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False) as http:
            yield Town(http, settings, trainer, engine_url, data)


@contextlib.asynccontextmanager
async def _working(settings: CoordinatorSettings) -> AsyncIterator[None]:
    engine = connect(settings.database_url, connections=6)
    queue, services = Queue(settings.redis_url, settings.queue_name), Services(Http(KEYS, 30), settings)
    working = asyncio.create_task(Worker(settings, engine, queue, services).run())
    yield
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    await services.close()
    await queue.close()
    await engine.dispose()
