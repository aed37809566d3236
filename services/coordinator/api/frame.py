"""What the routers share: the process's connections, and answers in the form that clients expect."""

from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.coordinator.clients import Services
from services.coordinator.intake.imports import Imports
from services.coordinator.repositories import runs
from services.coordinator.settings import CoordinatorSettings
from shared.errors import Conflict, NotFound
from shared.images import ImageStore
from shared.rates import Streams
from shared.types import JsonObject

ID_FIELDS = ("id", "parent", "instruction_id", "new_id")


class Asked(BaseModel):
    """Base of every request's body: a value is of the type that the document says, and unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class DocumentedAs:
    """A field that is read by a function of its own, with messages of its own: the document says a model's form."""

    def __init__(self, model: type[BaseModel]):
        self._model = model

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(self._model.__pydantic_core_schema__)


@dataclass(frozen=True)
class Desk:
    """What a request's handler works with."""

    settings: CoordinatorSettings
    engine: AsyncEngine
    services: Services
    images: ImageStore
    imports: Imports
    streams: Streams


def answer(content: Any, status: int = 200) -> Response:
    """JSON, with times in ISO form."""
    return Response(orjson.dumps(content), status, media_type="application/json")


def public(row: JsonObject) -> JsonObject:
    """Instruction ids as strings: they have 63 bits, and JavaScript's numbers 53."""
    return {
        key: str(value) if key in ID_FIELDS and isinstance(value, int) else value
        for key, value in row.items()
    }


async def run_or_404(c: AsyncConnection, run_id: str, *, for_update: bool = False) -> JsonObject:
    run = await runs.get(c, run_id, for_update=for_update)
    if run is None:
        raise NotFound(f"there is no run {run_id!r}; GET /v1/runs lists them", code="run_not_found")
    return run


def check_trains(run: JsonObject) -> None:
    """Conflict where the run is an evaluation, which has no trainings."""
    if run["kind"] != "training":
        raise Conflict(f"{run['id']} is an evaluation: it measures one model and has no trainings")


def asked_by(request: Request) -> str:
    """The cause of a change that somebody asked for: the name of the key that the request came with."""
    return f"asked for by {request.scope.get('comd_caller', 'api')}"
