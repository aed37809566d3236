"""`/v1/datasets`: register one from files on the coordinator's machine, and list what is there."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from services.coordinator.api import shapes
from services.coordinator.api.frame import Asked, Desk, answer, asked_by
from services.coordinator.intake.dataset_import import below_roots
from services.coordinator.intake.reading import Reading
from services.coordinator.repositories import datasets
from shared.errors import NotFound
from shared.types import JsonObject


class DatasetRequest(Asked):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    path: str = Field(description="a LLaVA-style JSON list or JSON lines file")
    images: str | None = Field(None, description="the pictures' folder; default: the file's own")
    purpose: Literal["instruct", "pretrain", "evaluation"] = "instruct"


def router(desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/v1/datasets", tags=["datasets"])

    @routes.post("", status_code=201, response_model=shapes.Dataset)
    async def register(asked: DatasetRequest, request: Request) -> Response:
        """Reads everything before it answers; the import goes on where the client does not wait for it.

        The same request again waits for that import, or goes on with one that was stopped.
        """
        roots = desk.settings.data_roots
        file = below_roots(asked.path, roots, folder=False)
        images = below_roots(asked.images, roots, folder=True) if asked.images else file.parent
        reading = Reading(asked.name, file, images, asked.purpose, desk.images)
        return answer(_shown(desk, await desk.imports.register(reading, asked_by(request))), 201)

    @routes.get("", response_model=shapes.DatasetList)
    async def everything() -> Response:
        async with desk.engine.connect() as c:
            rows = await datasets.everything(c)
        return answer({"object": "list", "data": [_shown(desk, row) for row in rows]})

    @routes.get("/{name}", response_model=shapes.Dataset)
    async def one(name: str) -> Response:
        """With its `progress` while it is read. No rate: the import was stopped, and the same POST goes on with it."""
        async with desk.engine.connect() as c:
            found = await datasets.get(c, name)
        if found is None:
            raise NotFound(f"there is no data set {name!r}; GET /v1/datasets lists them")
        return answer(_shown(desk, found))

    return routes


def _shown(desk: Desk, row: JsonObject) -> JsonObject:
    shown = {
        key: value for key, value in row.items() if key not in {"bytes_read", "bytes_total", "file_state"}
    }
    progress = desk.imports.progress(row["name"])
    if progress is None and row["status"] != "ready":
        done = {
            "bytes_read": row["bytes_read"],
            "bytes_total": row["bytes_total"],
            "records": row["num_records"],
        }
        progress = {**done, "rate": None, "time_left_s": None}
    return {**shown, "progress": progress}
