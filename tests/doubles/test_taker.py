"""An OpenAI-compatible engine that takes tests: it knows what to say to each question, and counts what it was asked.

In: for a question's text, the answer. Out: chat completions; with `loses`, prompt log-probabilities as vLLM gives them.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from shared.types import JsonObject


@dataclass
class TestTaker:
    """`says` answers a question's text; `logprob` is of each character of a continued answer, where it can tell."""

    __test__ = False
    says: Callable[[str], str]
    logprob: Callable[[str, str], float] | None = None
    root: str = "first"
    delay_s: float = 0.0
    holds: str | None = None  # questions with these words are not answered as long as it is set
    refuses: str | None = None  # questions with these words
    asked: list[JsonObject] = field(default_factory=list)

    def reply(self, body: JsonObject) -> JsonObject:
        question, continued = _texts(body["messages"])
        reply: JsonObject = {
            "id": "chat",
            "object": "chat.completion",
            "model": body["model"],
            "usage": {"prompt_tokens": len(question), "completion_tokens": 1},
        }
        message = {"role": "assistant", "content": self.says(question)}
        reply["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
        if "prompt_logprobs" in body and self.logprob is not None:
            of_answer = 0.0 if continued is None else self.logprob(question, continued)
            tokens = [(sign, -1.0) for sign in question] + [(sign, of_answer) for sign in continued or ""]
            reply["prompt_logprobs"] = [None, *({str(ord(s)): {"logprob": p}} for s, p in tokens)]
        return reply


def _texts(messages: list[JsonObject]) -> tuple[str, str | None]:
    """The question, and the answer that is to be continued."""
    continued = messages[-1]["content"] if messages[-1]["role"] == "assistant" else None
    content = next(one["content"] for one in messages if one["role"] == "user")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    return "\n".join(part["text"] for part in parts if part["type"] == "text"), continued


def create_app(taker: TestTaker) -> FastAPI:
    app = FastAPI()

    @app.get("/v1/models")
    async def models() -> JsonObject:
        return {"object": "list", "data": [{"id": "taker", "object": "model", "root": taker.root}]}

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Any:
        body = await request.json()
        taker.asked.append(body)
        await asyncio.sleep(taker.delay_s)
        question, _ = _texts(body["messages"])
        while taker.holds is not None and taker.holds in question:
            await asyncio.sleep(0.02)
        if taker.refuses is not None and taker.refuses in question:
            error = {
                "message": "the prompt is not allowed",
                "type": "invalid_request_error",
                "code": "refused",
            }
            return JSONResponse({"error": error}, 400)
        return taker.reply(body)

    return app
