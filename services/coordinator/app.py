"""The coordinator's app: REST in front, the driver behind it, one schema below both."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from services.coordinator.api import (
    benchmarks,
    changing,
    datasets,
    doctor,
    evaluations,
    instructions,
    keys,
    pools,
    runs,
    usage,
    views,
)
from services.coordinator.api.frame import Desk
from services.coordinator.api.parameters import known_parameters
from services.coordinator.api.storable import storable
from services.coordinator.clients import Services
from services.coordinator.dashboard import session
from services.coordinator.dashboard.dashboard import routers
from services.coordinator.dashboard.door import Door
from services.coordinator.database import connect, is_passing
from services.coordinator.driver import drive
from services.coordinator.intake.imports import Imports
from services.coordinator.key_ring import KeyRing
from services.coordinator.metrics import look_up
from services.coordinator.metrics_port import database_probe
from services.coordinator.outgoing import Http
from services.coordinator.queue import Queue
from services.coordinator.settings import CoordinatorSettings
from services.coordinator.trainer import Trainer
from shared import logs
from shared.callers import needs_by_method
from shared.errors import ComdError, EngineUnavailable
from shared.images import ImageStore
from shared.keys import Keys
from shared.rates import Rates, Streams
from shared.service import Frame, create_app

log = logs.get(__name__)


def create_coordinator_app(settings: CoordinatorSettings, own_keys: Keys) -> FastAPI:
    """The app. The database must have the newest schema already (see `migrate`)."""
    engine = connect(settings.database_url)
    queue = Queue(settings.redis_url, settings.queue_name)
    http = Http(own_keys, settings.timeout_s)
    services = Services(http, settings)
    imports = Imports(engine)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        driving = asyncio.create_task(
            drive(settings, engine, queue, services, Trainer(http, settings.trainer_url))
        )
        yield
        driving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await driving
        await imports.close()
        await services.close()
        await queue.close()
        await engine.dispose()

    ring = KeyRing(own_keys, engine)
    door = Door(ring, session.signing_secret(own_keys.internal), settings.allowed_hosts)
    rates = Rates(settings.requests_per_minute)
    frame = Frame(
        max_body_bytes=settings.max_body_bytes,
        find_caller=ring.caller,
        browsers=door,
        rates=rates,
        dependencies=[Depends(needs_by_method), Depends(storable), Depends(known_parameters)],
        more_metrics=look_up(engine, queue),
    )
    app = create_app("coordinator", own_keys, database_probe(engine), lifespan, frame)
    app.add_exception_handler(SQLAlchemyError, _database_error)
    streams = Streams(settings.streams_per_key)
    desk = Desk(settings, engine, services, ImageStore(settings.image_store), imports, streams)
    for part in (datasets, runs, changing, usage, pools, instructions, views, benchmarks, evaluations):
        app.include_router(part.router(desk))
    app.include_router(keys.router(desk, ring))
    app.include_router(doctor.router(desk, own_keys, queue))
    for pages in routers(desk, door, rates):
        app.include_router(pages)
    return app


async def _database_error(request: Request, error: Exception) -> JSONResponse:
    """A database that is away is waited for; anything else is our mistake."""
    if is_passing(error):
        away = EngineUnavailable("the database cannot be used just now", code="database_unavailable")
        return JSONResponse(away.body(), away.status, headers=away.headers)
    log.error("query_failed", path=request.url.path, exc_info=error)
    wrong = ComdError("something went wrong inside the service; its log has the details")
    return JSONResponse(wrong.body(), wrong.status)
