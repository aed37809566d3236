"""The coordinator's app: REST in front, the driver behind it, one schema below both."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from sqlalchemy.exc import DBAPIError

from services.coordinator.api import datasets, pools, runs, views
from services.coordinator.api.frame import Desk
from services.coordinator.clients import Http, Services
from services.coordinator.database import connect
from services.coordinator.driver import drive
from services.coordinator.queue import Queue
from services.coordinator.repositories.rows import scalar
from services.coordinator.settings import CoordinatorSettings
from services.coordinator.trainer import Trainer
from shared.images import ImageStore
from shared.keys import Keys
from shared.service import Readiness, create_app


def create_coordinator_app(settings: CoordinatorSettings, keys: Keys) -> FastAPI:
    """The app. The database must have the newest schema already (see `migrate`)."""
    engine = connect(settings.database_url)
    queue = Queue(settings.redis_url, settings.queue_name)
    http = Http(keys, settings.timeout_s)
    services = Services(http, settings)

    async def probe() -> Readiness:
        try:
            async with engine.connect() as c:
                await scalar(c, "SELECT 1")
        except DBAPIError as error:
            return Readiness(False, f"the database cannot be used: {str(error.orig)[:200]}")
        return Readiness(True)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        driving = asyncio.create_task(
            drive(settings, engine, queue, services, Trainer(http, settings.trainer_url))
        )
        yield
        driving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await driving
        await http.close()
        await queue.close()
        await engine.dispose()

    app = create_app("coordinator", keys, probe, lifespan)
    desk = Desk(settings, engine, services, ImageStore(settings.image_store))
    for part in (datasets, runs, pools, views):
        app.include_router(part.router(desk))
    return app
