"""An engine that answers questions of choice about a picture's colour by looking. In: OpenAI chat. Out: a letter.

It is right only where the picture came whole and the choices can be read, so that a score shows both. Colours in
`blind_to` it takes for others. What it was asked is kept.
"""

import base64
import io
import json
import re
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from PIL import Image, ImageColor

from shared.types import JsonObject

NAME = "colour-blind"
KNOWN = ("red", "green", "blue", "yellow")
CHOICE = re.compile(r"^\(?([A-Z])[.)] +(\w+)", re.MULTILINE)
UNREADABLE = "I would rather not say"


def create_app(asked: list[JsonObject], blind_to: str = "blue") -> FastAPI:
    """The app; requests are appended to `asked`."""
    app = FastAPI()

    @app.get("/v1/models")
    async def models() -> JsonObject:
        return {"object": "list", "data": [{"id": NAME, "object": "model", "owned_by": "tests"}]}

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        body = await request.json()
        asked.append(body)
        text = answer(body["messages"], blind_to)
        if body.get("stream"):
            return StreamingResponse(_stream(text), media_type="text/event-stream")
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
        reply = _head("chat.completion") | {"choices": [choice], "usage": usage}
        return Response(json.dumps(reply), media_type="application/json")

    return app


def answer(messages: list[Any], blind_to: str) -> str:
    """The letter of the choice that names the picture's colour; without a picture no letter at all."""
    parts = [part for message in messages if message["role"] == "user" for part in _parts(message["content"])]
    text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    letters = {word: letter for letter, word in CHOICE.findall(text)}
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return letters.get(_colour(urls[0], blind_to), UNREADABLE) if urls else UNREADABLE


def _parts(content: Any) -> list[JsonObject]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _colour(url: str, blind_to: str) -> str:
    """The known colour that is nearest to the picture's middle."""
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as picture:
        seen = picture.convert("RGB").resize((3, 3)).getpixel((1, 1))
    assert isinstance(seen, tuple)

    def distance(name: str) -> int:
        return sum((a - b) ** 2 for a, b in zip(ImageColor.getrgb(name), seen, strict=True))

    return min((name for name in KNOWN if name != blind_to), key=distance)


def _head(kind: str) -> JsonObject:
    return {"id": "1", "object": kind, "created": 0, "model": NAME}


async def _stream(text: str) -> AsyncIterator[bytes]:
    for delta, reason in (({"role": "assistant", "content": text}, None), ({}, "stop")):
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        yield (
            b"data: " + json.dumps(_head("chat.completion.chunk") | {"choices": [choice]}).encode() + b"\n\n"
        )
    yield b"data: [DONE]\n\n"
