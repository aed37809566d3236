"""The trainer's place in a benchmark: jobs that end when told to, chat by the trainer's own code before an engine.

In: `python -m benchmarks.system.student --port N --engine URL`. Out: the trainer's contract as far as a run needs it.
A job waits for `POST /proceed`, so that the phases before and after it can be measured apart.
"""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
from fastapi import FastAPI, Request, Response

from services.trainer.serving.vllm_request import named, request, student_of
from services.trainer.serving.wire import Wire
from shared.errors import Conflict
from shared.images import ImageStore
from shared.keys import Keys, load_keys
from shared.service import Readiness, create_app, serve
from shared.settings import default_image_store
from shared.types import JsonObject
from tests.doubles.stub_trainer import StubTrainer, trainer_routes


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

    def look(job: JsonObject) -> JsonObject:
        if job["status"] == "queued" and told["proceed"]:
            told["proceed"] -= 1
            return trainer.advance(job)
        return job

    app.include_router(trainer_routes(trainer, look))

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
