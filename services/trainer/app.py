"""The trainer's app: OpenAI's files, fine-tuning jobs and models, the lease, the student's chat completions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from services.trainer import endings
from services.trainer.api.files import file_routes
from services.trainer.api.jobs import job_routes
from services.trainer.api.students import add_chat_route, lease_routes, model_routes
from services.trainer.settings import TrainerSettings
from services.trainer.trainer import Trainer
from shared.errors import DiskFull
from shared.keys import Keys, home
from shared.service import Frame, Lifespan, Readiness, create_app


def create_trainer_app(settings: TrainerSettings, keys: Keys) -> FastAPI:
    """The app; its data lie in `<COMD_HOME>/trainer`."""
    trainer = Trainer(settings, home() / "trainer")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await trainer.start()
        yield
        await trainer.close()

    return app_of(trainer, keys, lifespan)


def app_of(trainer: Trainer, keys: Keys, lifespan: Lifespan | None = None) -> FastAPI:
    """The routes over a trainer; without a lifespan nobody starts it, and its jobs stay queued."""

    async def probe() -> Readiness:
        return trainer.readiness()

    async def no_space(_: Request, error: Exception) -> JSONResponse:
        if not endings.is_disk_full(error, trainer.folder):
            raise error
        full = DiskFull(f"nothing was kept: {endings.disk_full_message(trainer.folder, 'ask again')}")
        return JSONResponse(full.body(), full.status)

    frame = Frame(max_body_bytes=trainer.settings.max_upload_bytes)
    app = create_app("trainer", keys, probe, lifespan, frame)
    app.add_exception_handler(OSError, no_space)
    for routes in (file_routes, job_routes, lease_routes, model_routes):
        app.include_router(routes(trainer))
    add_chat_route(app.router, trainer)
    return app
