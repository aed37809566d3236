"""Puts a reply into the shapes of OpenAI's chat completions API: one object, or a stream of chunks.

In: the request and the reply's text. Out: JSON bytes. Words stand for tokens.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from comd.scripted.asking import CREATED, Asking

_WORDS_PER_IMAGE = 4


def limited(text: str, max_words: int | None) -> tuple[str, str]:
    """The text within the limit, and the finish reason: "stop" or "length"."""
    words = text.split()
    if not max_words or len(words) <= max_words:
        return text, "stop"
    return " ".join(words[:max_words]), "length"


def completion(asking: Asking, text: str) -> bytes:
    """The whole `chat.completion` object."""
    content, finish_reason = limited(text, asking.max_words)
    message = {"role": "assistant", "content": content, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    head = _head(asking, "chat.completion")
    return orjson.dumps({**head, "choices": [choice], "usage": _usage(asking, content)})


def chunks(asking: Asking, text: str, *, include_usage: bool) -> Iterator[bytes]:
    """The same reply as server-sent events, one word in each."""
    content, finish_reason = limited(text, asking.max_words)
    head = _head(asking, "chat.completion.chunk")
    pieces = [word if n == 0 else f" {word}" for n, word in enumerate(content.split(" "))]
    yield _event(head, {"role": "assistant", "content": ""}, None)
    for piece in pieces:
        yield _event(head, {"content": piece}, None)
    yield _event(head, {}, finish_reason)
    if include_usage:
        yield _line({**head, "choices": [], "usage": _usage(asking, content)})
    yield b"data: [DONE]\n\n"


def _head(asking: Asking, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-scripted-{asking.noise[:12].hex()}",
        "object": kind,
        "created": CREATED,
        "model": asking.model,
        "system_fingerprint": "scripted",
    }


def _usage(asking: Asking, content: str) -> dict[str, int]:
    prompt = len(asking.text.split()) + (_WORDS_PER_IMAGE if asking.scene else 0)
    said = len(content.split())
    return {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}


def _event(head: dict[str, Any], delta: dict[str, str], finish_reason: str | None) -> bytes:
    return _line({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})


def _line(chunk: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"
