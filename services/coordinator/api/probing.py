"""Checks what a person wants a run to work with: engines by the way they will be asked, data sets by purpose."""

import asyncio
import base64
import io
from functools import lru_cache

from PIL import Image
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.coordinator.clients import Services
from services.coordinator.evaluations import settled
from services.coordinator.outgoing import ItemFailed, Unreadable, Waiting
from services.coordinator.repositories import benchmarks, datasets
from services.coordinator.run_config import RunConfig
from shared.errors import Unprocessable
from shared.types import EngineSpec

ROLES = ("teacher", "assessor", "augmentor")
TIMEOUT_S = 60.0


async def check_engine(services: Services, role: str, spec: EngineSpec | None, *, with_picture: bool) -> None:
    """Unprocessable where it is not allowed, cannot be reached, lacks the model, refuses its key or a picture."""
    if role not in ROLES:
        raise Unprocessable(f"endpoints: unknown role {role!r}; allowed are {', '.join(ROLES)}")
    try:
        async with asyncio.timeout(TIMEOUT_S):
            identity = await services.identity(role, spec, fresh=True)
            await services.try_out(role, identity.model, spec, _picture() if with_picture else None)
    except TimeoutError as error:
        raise Unprocessable(
            f"{role}: the engine gave no answer within {TIMEOUT_S:g} s", code="engine_refused"
        ) from error
    except (Waiting, ItemFailed, Unreadable) as error:
        raise Unprocessable(f"{role}: {error.message}", code="engine_refused") from error


async def has_pictures(engine: AsyncEngine, dataset: str) -> bool:
    """Whether a run over the data set will show pictures: then its engines must be able to see."""
    async with engine.connect() as c:
        found = await datasets.get(c, dataset)
    return found is not None and found["num_images"] > 0


@lru_cache(maxsize=1)
def _picture() -> str:
    """A grey square as a `data:` URL; large enough for the smallest picture that models take."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


async def check_datasets(c: AsyncConnection, dataset: str, config: RunConfig) -> None:
    """Unprocessable, with the setting that names it, where a data set is not there, not ready, or for another use."""
    wanted = {"dataset": ("instruct", dataset)}
    if config.pretraining:
        wanted["pretraining.dataset"] = ("pretrain", config.pretraining.dataset)
    if config.evaluation:
        wanted["evaluation.dataset"] = ("evaluation", config.evaluation.dataset)
    await _check_benchmarks(c, config)
    for param, (purpose, name) in wanted.items():
        found = await datasets.get(c, name)
        if found is None:
            raise Unprocessable(
                f"there is no data set {name!r}; register it first (comd data import)", param=param
            )
        if found["status"] != "ready":
            raise Unprocessable(
                f"data set {name!r} is not ready: {found['num_records']} records of it are read so far; wait for its "
                "import (GET /v1/datasets shows how far it is), or repeat it where it was stopped (comd data import)",
                param=param,
            )
        if found["purpose"] != purpose:
            raise Unprocessable(
                f"data set {name!r} was registered with the purpose {found['purpose']!r}, "
                f"but {purpose!r} is needed here; register it again under another name with that purpose",
                param=param,
            )


async def _check_benchmarks(c: AsyncConnection, config: RunConfig) -> None:
    """Each is registered, and its settings are such as its kind takes."""
    for place, one in enumerate(config.benchmarks):
        found = await benchmarks.get(c, one.benchmark)
        if found is None:
            raise Unprocessable(
                f"there is no benchmark {one.benchmark!r}; register it first (POST /v1/benchmarks)",
                param=f"benchmarks.{place}.benchmark",
            )
        settled(one.settings, found["kind"])
