"""`/v1/benchmarks`: register a public test set from its official files, and list what is there."""

import asyncio

from fastapi import APIRouter, Request, Response
from pydantic import Field

from services.coordinator.api import evaluation_shapes as shapes
from services.coordinator.api.frame import Asked, Desk, answer, asked_by
from services.coordinator.benchmarks.items import Kind
from services.coordinator.intake.benchmark_import import BenchmarkFiles, read_files
from services.coordinator.intake.dataset_import import below_roots
from services.coordinator.repositories import benchmarks, event_log
from shared.errors import Conflict, NotFound
from shared.types import JsonObject


class BenchmarkRequest(Asked):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    kind: Kind
    path: str = Field(description="the folder of the official files")
    split: str | None = Field(None, description="of scienceqa: test (default), val, train")


def router(desk: Desk) -> APIRouter:
    routes = APIRouter(prefix="/v1/benchmarks", tags=["evaluations"])

    @routes.post("", status_code=201, response_model=shapes.Benchmark)
    async def register(asked: BenchmarkRequest, request: Request) -> Response:
        """Reads and checks everything before it answers. The same content again changes nothing."""
        return answer(await register_benchmark(desk, asked, asked_by(request)), 201)

    @routes.get("", response_model=shapes.BenchmarkList)
    async def everything() -> Response:
        async with desk.engine.connect() as c:
            return answer({"object": "list", "data": await benchmarks.everything(c)})

    @routes.get("/{name}", response_model=shapes.Benchmark)
    async def one(name: str) -> Response:
        async with desk.engine.connect() as c:
            found = await benchmarks.get(c, name)
        if found is None:
            raise NotFound(f"there is no benchmark {name!r}; GET /v1/benchmarks lists them")
        return answer(found)

    return routes


async def register_benchmark(desk: Desk, asked: BenchmarkRequest, cause: str) -> JsonObject:
    """The benchmark's row; Conflict where the name has other content."""
    folder = below_roots(asked.path, desk.settings.data_roots, folder=True)
    split = (asked.split or "test") if asked.kind == "scienceqa" else asked.split
    files = BenchmarkFiles(asked.name, asked.kind, folder, split)
    read, items = await asyncio.to_thread(read_files, files, desk.images)
    async with desk.engine.begin() as c:
        if await benchmarks.add(c, read, items):
            told = {"dataset": asked.name, "kind": asked.kind, "items": len(items)}
            await event_log.record(c, None, "benchmark_registered", cause, **told)
        found = await benchmarks.get(c, asked.name)
    same = ("kind", "split", "content_sha256")
    if found is None or any(found[key] != read[key] for key in same):
        raise Conflict(
            f"there is a data set {asked.name!r} with other content; choose another name for this benchmark",
            code="benchmark_differs",
        )
    return found
