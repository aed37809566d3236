"""The trainer's place in a benchmark: jobs that end when told to, chat by the trainer's own code before an engine.

In: `python -m benchmarks.system.student --port N --engine URL`. Out: the trainer's contract as far as a run needs it.
A job waits for `POST /proceed`, so that the phases before and after it can be measured apart.
"""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import orjson
from fastapi import FastAPI, Form, Header, Request, Response, UploadFile

from services.trainer.serving.vllm_request import named, request, student_of
from services.trainer.serving.wire import Wire
from shared.errors import Conflict
from shared.images import ImageStore
from shared.keys import Keys, load_keys
from shared.service import Readiness, create_app, serve
from shared.settings import default_image_store
from shared.types import JsonObject
from tests.doubles.stub_trainer import StubTrainer


def create_student_app(trainer: StubTrainer, keys: Keys, store: ImageStore) -> FastAPI:
    """The routes; what the student says comes from `trainer.engine_url`."""
    wire: list[Wire] = []
    told = {"proceed": 0}

    async def probe() -> Readiness:
        return Readiness(True)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        wire.append(Wire(trainer.engine_url))
        yield
        await wire[0].close()

    app = create_app("trainer", keys, probe, lifespan)

    @app.post("/proceed")
    async def proceed() -> JsonObject:
        told["proceed"] += 1
        return {}

    @app.post("/v1/files")
    async def files(file: UploadFile, purpose: Annotated[str, Form()]) -> JsonObject:
        return {"id": trainer.upload(await file.read()), "object": "file", "purpose": purpose}

    @app.post("/v1/fine_tuning/jobs")
    async def create(
        asked: JsonObject, idempotency_key: Annotated[str, Header()], x_comd_lease: Annotated[str, Header()]
    ) -> JsonObject:
        return trainer.create_job(asked, idempotency_key, x_comd_lease)

    @app.get("/v1/fine_tuning/jobs/{job_id}")
    async def job(job_id: str) -> JsonObject:
        found = trainer.jobs[job_id]
        if found["status"] == "queued" and told["proceed"]:
            told["proceed"] -= 1
            return trainer.advance(found)
        return found

    @app.post("/v1/leases")
    async def lease(asked: JsonObject) -> JsonObject:
        return trainer.lease(asked["owner"], asked.get("checkpoint"))

    @app.delete("/v1/leases/{owner}")
    async def release(owner: str) -> JsonObject:
        trainer.release(owner)
        return {}

    async def chat(asked: Request) -> Response:
        body = await asked.body()
        model = orjson.loads(body)["model"]
        if model != trainer.loaded:
            raise Conflict(f"{model} is not loaded", code="checkpoint_not_loaded")
        student = student_of(model, Path("/nonexistent"))
        answer = await wire[0].request("POST", "/v1/chat/completions", request(body, student, store))
        return Response(named(answer.body, student), answer.status, media_type="application/json")

    app.add_route("/v1/chat/completions", chat, methods=["POST"])
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--engine", required=True)
    given = parser.parse_args()
    app = create_student_app(StubTrainer(given.engine), load_keys(), ImageStore(default_image_store()))
    serve(app, "127.0.0.1", given.port)


if __name__ == "__main__":
    main()
