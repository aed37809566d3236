"""What stands between the system and an engine in tests: wants a key, goes away on command, remembers everything.

In: the engine's ASGI app. Out: the same protocol; `heard` holds the headers of each request, `said` each answer's
text with the root that the model list named when it was given.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass
class Door:
    app: Any
    key: str | None = None  # what the bearer key must be
    lists_openly: bool = False  # the list of models needs no key, as with some hosted APIs
    echoes: bool = False  # a refusal repeats the request's headers
    is_away: bool = False
    is_blind: bool = False  # refuses pictures, as a model without eyes
    root: str | None = None  # of the models in the list
    successor: str | None = None  # the next question finds nobody; from then on this is the root
    models: tuple[str, ...] | None = None  # all that the list names
    heard: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    said: list[tuple[str, str | None]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.heard.append((scope["path"], headers))
        is_question = scope["path"].endswith("completions")
        if self.successor and is_question:
            self.root, self.successor = self.successor, None
            return await _answer(send, 503, {"error": {"message": "gone"}})
        if self.is_away:
            return await _answer(send, 503, {"error": {"message": "gone"}})
        is_open = scope["path"] == "/health" or (self.lists_openly and scope["path"] == "/v1/models")
        if self.key and not is_open and headers.get("authorization") != f"Bearer {self.key}":
            told = f"not with {headers}" if self.echoes else "wrong key"
            return await _answer(send, 401, {"error": {"message": told}})
        if self.is_blind and is_question:
            message = await receive()
            if b"image_url" in message["body"]:
                said = "At most 0 image(s) may be provided in one prompt."
                return await _answer(send, 400, {"error": {"message": said}})
            receive = _again(message)
        await self._pass(scope, receive, send)

    async def _pass(self, scope: Any, receive: Any, send: Any) -> None:
        start: list[Any] = []
        body = bytearray()

        async def keep(message: Any) -> None:
            if message["type"] == "http.response.start":
                start.append(message)
            else:
                body.extend(message.get("body", b""))

        await self.app(scope, receive, keep)
        reply = orjson.loads(bytes(body))
        if scope["path"] == "/v1/models":
            reply["data"] = [
                {**card, "root": self.root or card["root"]}
                for card in reply["data"]
                if self.models is None or card["id"] in self.models
            ]
        elif reply.get("choices"):
            self.said.append((reply["choices"][0]["message"]["content"], self.root))
        await _answer(send, start[0]["status"], reply)


def _again(message: Any) -> Any:
    async def receive() -> Any:
        return message

    return receive


async def _answer(send: Any, status: int, content: Any) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": orjson.dumps(content)})
