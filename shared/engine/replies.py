"""Reads an engine's replies. In: a raw reply. Out: its JSON object, or the error that it means.

Some servers answer 200 with an error in the body: such a reply counts as the status that it should have had.
"""

from typing import Any

import orjson

from shared.engine.exchange import RawReply
from shared.errors import (
    BadRequest,
    ComdError,
    ConfigError,
    EngineReplyError,
    EngineUnavailable,
    NotFound,
)
from shared.types import EngineSpec, JsonObject

WORDS = (  # of an error's code or type, in the order in which they are looked for
    (("rate_limit", "ratelimit", "too_many", "quota"), 429),
    (("overload", "unavailable", "capacity", "busy"), 503),
    (("auth", "api_key", "permission"), 401),
    (("not_found", "notfound"), 404),
    (("invalid", "badrequest", "bad_request", "context_length"), 400),
)


def json_object(spec: EngineSpec, reply: RawReply) -> tuple[int, JsonObject]:
    """The status that the reply means and its JSON object; EngineReplyError where it is not one."""
    if reply.status != 200:
        return reply.status, {}
    try:
        read = orjson.loads(reply.body)
    except orjson.JSONDecodeError as error:
        raise EngineReplyError(f"{spec.base_url}: expected JSON, got {reply.start()[:200]!r}") from error
    if not isinstance(read, dict):
        raise EngineReplyError(f"{spec.base_url}: expected a JSON object, got {reply.start()[:200]!r}")
    return (meant_status(read), read) if "choices" not in read and "data" not in read else (200, read)


def meant_status(read: JsonObject) -> int:
    """The status of an error object that came with 200; 200 where it is none."""
    error = read.get("error") or (read if read.get("object") == "error" else None)
    if error is None:
        return 200
    fields = error if isinstance(error, dict) else {"code": error}
    for field in ("code", "status", "status_code"):
        number = str(fields.get(field))
        if number.isdigit() and 400 <= int(number) <= 599:
            return int(number)
    said = f"{fields.get('code')} {fields.get('type')}".lower()
    return next((status for words, status in WORDS if any(word in said for word in words)), 500)


def completion(spec: EngineSpec, reply: JsonObject) -> JsonObject:
    """The reply where it is a chat completion."""
    choices: Any = reply.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, dict) or not isinstance(first.get("message"), dict):
        raise EngineReplyError(
            f"{spec.base_url}: expected a chat completion with choices, got {str(reply)[:200]}"
        )
    return reply


def refusal(spec: EngineSpec, reply: RawReply, status: int) -> ComdError:
    """What an error status means for the caller; 500 apart, which may mean either thing."""
    said = f"{spec.base_url} answered {status}: {reply.start()}"
    if status in {408, 429, 502, 503, 504}:
        wait = 1.0 if reply.retry_after_s is None else reply.retry_after_s
        return EngineUnavailable(said, retry_after_s=wait)
    if status in {401, 403}:
        return ConfigError(f"{said}; check the engine's key ({spec.key_name or 'none is configured'})")
    if status == 404:
        return NotFound(f"{said}; check base_url and the model {spec.model!r}", code="model_not_found")
    if status < 400:
        return ConfigError(
            f"{said}; expected 200 (redirects are not followed: give the final URL as base_url)"
        )
    return BadRequest(said, code="engine_refused") if status < 500 else EngineReplyError(said)


def text_of(reply: JsonObject) -> tuple[str, str]:
    """The reply's text and finish reason."""
    choice = reply["choices"][0]
    content = choice["message"].get("content")
    if not isinstance(content, str):
        raise EngineReplyError(f"expected text in the engine's message, got {str(choice['message'])[:200]}")
    return content, str(choice.get("finish_reason") or "stop")
