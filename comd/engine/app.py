"""The embedded engine's HTTP side: OpenAI chat completions over one model that batches what waits."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from pydantic_settings import SettingsConfigDict
from starlette.requests import ClientDisconnect

from comd.engine.batcher import Answer, Batcher, usage
from comd.engine.request import ChatRequest, read
from shared.errors import BadRequest, Forbidden
from shared.images import ImageStore
from shared.keys import Keys
from shared.service import Readiness, create_app
from shared.settings import ProcessSettings
from shared.types import JsonObject


class EngineSettings(ProcessSettings):
    """Settings of `python -m comd.engine`."""

    model_config = SettingsConfigDict(env_prefix="COMD_EMBEDDED_ENGINE_", protected_namespaces=())

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    model: Path | None = Field(None, description="folder of the model to load at the start")
    served_model_name: str | None = Field(None, description="default: the folder's name")
    threads: int = Field(1, ge=1, description="torch threads of the model's worker")
    max_batch: int = Field(64, ge=1)
    dtype: str = "auto"
    image_store: str | None = Field(None, description="where comd-image: pictures are read from")
    api_key_env: str | None = Field(
        None, description="environment variable with the key; default: CoMD's keys"
    )


def create_engine_app(settings: EngineSettings, keys: Keys) -> FastAPI:
    """The app; the model named by the settings is loaded while the app already answers `/health`."""
    store = ImageStore(settings.image_store) if settings.image_store else None
    batcher = Batcher(store, settings.max_batch, settings.dtype, settings.threads)

    async def probe() -> Readiness:
        if batcher.loaded is None:
            return Readiness(False, "no model is loaded")
        return Readiness(True)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if settings.model is not None:
            await batcher.load(settings.served_model_name or settings.model.name, settings.model)
        yield
        batcher.close()

    app = create_app("engine", keys, probe, lifespan)

    async def chat(request: Request) -> Response:
        try:
            asked = read(_json(await request.body()))
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        if asked.stream:
            return StreamingResponse(await _stream(batcher, asked), media_type="text/event-stream")
        answer = await asyncio.wrap_future(batcher.ask(asked))
        return Response(orjson.dumps(_completion(asked, answer)), media_type="application/json")

    # A plain route: FastAPI's own machinery costs more than answering does with a tiny model.
    app.router.add_route("/v1/chat/completions", chat, methods=["POST"])

    @app.get("/v1/models")
    async def models() -> JsonObject:
        loaded = batcher.loaded
        data = [] if loaded is None else [_model(loaded.name, str(loaded.folder))]
        return {"object": "list", "data": data}

    @app.post("/internal/load")
    async def load(request: Request) -> JsonObject:
        if request.client is None or request.client.host not in {"127.0.0.1", "::1"}:
            raise Forbidden("models are swapped from this machine only")
        body = _json(await request.body())
        if not isinstance(body, dict) or not all(isinstance(body.get(k), str) for k in ("model", "name")):
            raise BadRequest("expected {'model': 'FOLDER', 'name': 'NAME'}")
        started = time.perf_counter()
        await batcher.load(body["name"], Path(body["model"]))
        return {"loaded": body["name"], "seconds": round(time.perf_counter() - started, 3)}

    return app


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"expected a JSON body: {error}") from error


def _model(name: str, root: str) -> JsonObject:
    return {"id": name, "object": "model", "created": 0, "owned_by": "comd", "root": root}


def _head(kind: str, model: str) -> JsonObject:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}


def _completion(asked: ChatRequest, answer: Answer) -> JsonObject:
    message = {"role": "assistant", "content": answer.text}
    choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason, "logprobs": None}
    made = {**_head("chat.completion", asked.model), "choices": [choice], "usage": usage(answer)}
    return made | ({"prompt_logprobs": answer.prompt_logprobs} if asked.prompt_logprobs else {})


async def _stream(batcher: Batcher, asked: ChatRequest) -> AsyncIterator[bytes]:
    """Server-sent events. Errors before the first token are raised here, as the answer's status."""
    loop = asyncio.get_running_loop()
    texts: asyncio.Queue[str | None] = asyncio.Queue()

    def hand_over(text: str) -> None:
        loop.call_soon_threadsafe(texts.put_nowait, text)

    future = asyncio.wrap_future(batcher.ask(asked, hand_over))
    future.add_done_callback(lambda _: texts.put_nowait(None))
    first = await texts.get()
    if first is None:
        await future
    return _events(asked, first, texts, future)


async def _events(
    asked: ChatRequest, text: str | None, texts: "asyncio.Queue[str | None]", future: "asyncio.Future[Answer]"
) -> AsyncIterator[bytes]:
    head, sent = _head("chat.completion.chunk", asked.model), ""
    yield _event(head, {"role": "assistant", "content": ""}, None)
    while text is not None:
        if len(text) > len(sent) and text.startswith(sent) and not text.endswith("\ufffd"):
            yield _event(head, {"content": text[len(sent) :]}, None)
            sent = text
        text = await texts.get()
    answer = await future
    if len(answer.text) > len(sent):
        yield _event(head, {"content": answer.text[len(sent) :]}, None)
    yield _event(head, {}, answer.finish_reason)
    if asked.usage_in_stream:
        yield b"data: " + orjson.dumps({**head, "choices": [], "usage": usage(answer)}) + b"\n\n"
    yield b"data: [DONE]\n\n"


def _event(head: JsonObject, delta: JsonObject, finish_reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return b"data: " + orjson.dumps({**head, "choices": [choice]}) + b"\n\n"
