"""A worker's own `/health`, `/ready` and `/metrics`, where its settings name a port; under the same keys as REST."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator

import uvicorn
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.coordinator.repositories.rows import scalar
from services.coordinator.settings import CoordinatorSettings
from shared.keys import Keys
from shared.service import Probe, Readiness, create_app


class _Guest(uvicorn.Server):
    """A server inside a process that has its own handlers of signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def database_probe(engine: AsyncEngine) -> Probe:
    """Ready while the database answers."""

    async def probe() -> Readiness:
        try:
            async with engine.connect() as c:
                await scalar(c, "SELECT 1")
        except SQLAlchemyError as error:
            said = str(getattr(error, "orig", error))[:200]
            return Readiness(False, f"the database cannot be used: {said}")
        return Readiness(True)

    return probe


@contextlib.asynccontextmanager
async def answering_metrics(
    settings: CoordinatorSettings, keys: Keys, engine: AsyncEngine
) -> AsyncIterator[None]:
    """Answers while the context lasts, where there is a port to answer on."""
    if not settings.metrics_port:
        yield
        return
    app = create_app("worker", keys, database_probe(engine))
    server = _Guest(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.metrics_port,
            log_config=None,
            access_log=False,
            lifespan="off",
        )
    )
    serving = asyncio.create_task(server.serve())
    try:
        yield
    finally:
        server.should_exit = True
        await serving
