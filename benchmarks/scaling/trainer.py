"""A trainer that learns nothing, in an instant: `python -m benchmarks.scaling.trainer --port N`.

In: files, which are read to their end and not kept. Out: jobs that have succeeded, leases that are held, answers of
a student, and the identity of every role for runs whose models answer inside the worker.
"""

import argparse
import hashlib

from fastapi import FastAPI, Request, Response

from benchmarks.scaling.engine import completion
from benchmarks.scaling.instant import ANSWER
from benchmarks.scaling.worker import identity
from shared.service import serve
from shared.types import JsonObject

REPLY = completion(ANSWER)


def create_app() -> FastAPI:
    app = FastAPI()

    @app.post("/v1/files")
    async def files(request: Request) -> JsonObject:
        content = hashlib.sha256()
        async for part in request.stream():
            content.update(part)
        return {"id": f"file-{content.hexdigest()[:24]}", "object": "file"}

    @app.post("/v1/fine_tuning/jobs")
    async def create(asked: JsonObject) -> JsonObject:
        return _job(asked["suffix"])

    @app.get("/v1/fine_tuning/jobs/{name}")
    async def job(name: str) -> JsonObject:
        return _job(name)

    @app.post("/v1/fine_tuning/jobs/{name}/cancel")
    async def cancel(name: str) -> JsonObject:
        return _job(name)

    @app.post("/v1/leases")
    async def lease(asked: JsonObject) -> JsonObject:
        return {"owner": asked["owner"], "state": "held", "checkpoint": asked["checkpoint"], "loaded": True}

    @app.delete("/v1/leases/{owner}")
    async def release(owner: str) -> JsonObject:
        return {}

    @app.post("/v1/chat/completions")
    async def completions() -> Response:
        return Response(REPLY, media_type="application/json")

    @app.get("/{role}/v1/identity")
    async def who(role: str) -> JsonObject:
        return identity(role).model_dump()

    return app


def _job(name: str) -> JsonObject:
    return {
        "id": name,
        "object": "fine_tuning.job",
        "status": "succeeded",
        "fine_tuned_model": f"ckpt-{name}",
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    serve(create_app(), "127.0.0.1", parser.parse_args().port)
