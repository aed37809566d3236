"""Chat completions on their way to vLLM and back. In: a request's bytes. Out: bytes that vLLM may see.

vLLM takes far more than chat: only known fields pass, only text and pictures, and no URL that it would fetch.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from shared.chat_fields import without_idle_top_p
from shared.errors import BadRequest, EngineUnavailable
from shared.images import ImageStore
from shared.messages import resolve_images
from shared.types import JsonObject

SERVED_NAME = "comd-student"
FIELDS = {
    "model",
    "messages",
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "max_completion_tokens",
    "seed",
    "stop",
    "n",
    "stream",
    "stream_options",
    "logprobs",
    "top_logprobs",
    "frequency_penalty",
    "presence_penalty",
    "response_format",
    "user",
    "prompt_logprobs",
    "add_generation_prompt",
    "continue_final_message",
}


@dataclass(frozen=True)
class Student:
    """The loaded student: its name, and a pattern for the control tokens of its tokenizer."""

    name: str
    control_tokens: re.Pattern[str]

    def plain(self, text: str) -> str:
        """`text` without control tokens, each broken by a space, as in training."""
        return self.control_tokens.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)


def student_of(name: str, folder: Path) -> Student:
    path = folder / "tokenizer.json"
    added = orjson.loads(path.read_bytes()).get("added_tokens", []) if path.is_file() else []
    tokens = [token["content"] for token in added if token["special"] and len(token["content"]) > 1]
    return Student(name, re.compile("|".join(map(re.escape, tokens)) or r"(?!)"))


def request(body: bytes, student: Student, store: ImageStore) -> bytes:
    """The request as vLLM gets it. BadRequest, Forbidden or NotFound name what cannot be passed on."""
    asked = without_idle_top_p(orjson.loads(body))
    if unknown := set(asked) - FIELDS:
        raise BadRequest(f"{sorted(unknown)[0]}: unknown field; taken are {', '.join(sorted(FIELDS))}")
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages: expected a list that is not empty")
    checked = [_message(message, f"messages[{at}]", student) for at, message in enumerate(messages)]
    resolved = resolve_images(checked, store, frozenset(), with_uuid=True)
    return orjson.dumps({**asked, "model": SERVED_NAME, "messages": resolved})


def _message(message: Any, where: str, student: Student) -> JsonObject:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in {"system", "user", "assistant"}:
        raise BadRequest(f"{where}.role: expected system, user or assistant, got {str(role)[:40]!r}")
    content = message.get("content")
    if isinstance(content, str):
        return {"role": role, "content": student.plain(content)}
    if not isinstance(content, list) or not content:
        raise BadRequest(f"{where}.content: expected a text or a list of parts, got {str(content)[:40]!r}")
    parts = [_part(part, f"{where}.content[{at}]", student) for at, part in enumerate(content)]
    return {"role": role, "content": parts}


def _part(part: Any, where: str, student: Student) -> JsonObject:
    """A part with nothing but what we know: a stranger's `uuid` would claim a place in vLLM's picture cache."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": student.plain(part["text"])}
    if kind == "image_url":
        holder = part.get("image_url")
        url = holder.get("url") if isinstance(holder, dict) else holder
        return {"type": "image_url", "image_url": {"url": url}}
    raise BadRequest(f"{where}: expected a part of type text or image_url, got {str(part)[:60]!r}")


def check_whole(body: bytes) -> None:
    """EngineUnavailable where vLLM cut the answer short to sleep: it would else pass for a whole one."""
    if b'"finish_reason":"abort"' in body:
        raise EngineUnavailable("the answer was cut short, because a job takes the devices; ask again")


def named(body: bytes, student: Student) -> bytes:
    """An answer, or a line of a streamed one, under the student's own name. Text inside has its quotes escaped."""
    return body.replace(_model(SERVED_NAME), _model(student.name), 1)


async def named_stream(pieces: AsyncIterator[bytes], student: Student) -> AsyncIterator[bytes]:
    """The same for a stream: whole lines, since pieces may end anywhere."""
    rest = b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if lines:
            yield b"".join(named(line, student) + b"\n" for line in lines)
    if rest:
        yield named(rest, student)


def _model(name: str) -> bytes:
    return b'"model":' + orjson.dumps(name)
