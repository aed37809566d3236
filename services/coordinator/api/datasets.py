"""`/v1/datasets`: register one from files on the coordinator's machine, and list what is there."""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import Field

from services.coordinator.api import shapes
from services.coordinator.api.frame import Asked, Desk, answer
from services.coordinator.intake.dataset_import import below_roots, import_dataset
from services.coordinator.intake.reading import Reading
from services.coordinator.repositories import datasets
from shared.errors import NotFound


class DatasetRequest(Asked):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    path: str = Field(description="a LLaVA-style JSON list or JSON lines file")
    images: str | None = Field(None, description="the pictures' folder; default: the file's own")
    purpose: Literal["instruct", "pretrain", "evaluation"] = "instruct"


def router(desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/v1/datasets", tags=["datasets"])

    @routes.post("", status_code=201, response_model=shapes.Dataset)
    async def register(asked: DatasetRequest) -> Response:
        """Reads everything before it answers, which takes a while for a large data set."""
        roots = desk.settings.data_roots
        file = below_roots(asked.path, roots, folder=False)
        images = below_roots(asked.images, roots, folder=True) if asked.images else file.parent
        reading = Reading(asked.name, file, images, asked.purpose, desk.images)
        return answer(await import_dataset(desk.engine, reading), 201)

    @routes.get("", response_model=shapes.DatasetList)
    async def everything() -> Response:
        async with desk.engine.connect() as c:
            return answer({"object": "list", "data": await datasets.everything(c)})

    @routes.get("/{name}", response_model=shapes.Dataset)
    async def one(name: str) -> Response:
        async with desk.engine.connect() as c:
            found = await datasets.get(c, name)
        if found is None:
            raise NotFound(f"there is no data set {name!r}; GET /v1/datasets lists them")
        return answer(found)

    return routes
