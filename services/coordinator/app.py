"""The coordinator's app: REST in front, the driver behind it, one schema below both."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from services.coordinator.api import changing, datasets, pools, runs, usage, views
from services.coordinator.api.frame import Desk
from services.coordinator.clients import Services
from services.coordinator.database import connect, is_passing
from services.coordinator.driver import drive
from services.coordinator.outgoing import Http
from services.coordinator.queue import Queue
from services.coordinator.repositories.rows import scalar
from services.coordinator.settings import CoordinatorSettings
from services.coordinator.trainer import Trainer
from shared import logs
from shared.errors import ComdError, EngineUnavailable
from shared.images import ImageStore
from shared.keys import Keys
from shared.service import Readiness, create_app

log = logs.get(__name__)


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
        except SQLAlchemyError as error:
            return Readiness(
                False, f"the database cannot be used: {str(getattr(error, 'orig', error))[:200]}"
            )
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
        await services.close()
        await queue.close()
        await engine.dispose()

    app = create_app("coordinator", keys, probe, lifespan)
    app.add_exception_handler(SQLAlchemyError, _database_error)
    desk = Desk(settings, engine, services, ImageStore(settings.image_store))
    for part in (datasets, runs, changing, usage, pools, views):
        app.include_router(part.router(desk))
    return app


async def _database_error(request: Request, error: Exception) -> JSONResponse:
    """A database that is away is waited for; anything else is our mistake."""
    if is_passing(error):
        away = EngineUnavailable("the database cannot be used just now", code="database_unavailable")
        return JSONResponse(away.body(), away.status, headers=away.headers)
    log.error("query_failed", path=request.url.path, exc_info=error)
    wrong = ComdError("something went wrong inside the service; its log has the details")
    return JSONResponse(wrong.body(), wrong.status)
