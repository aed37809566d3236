"""What comes back from a service. In: a reply. Out: the model that its route declares, or the error it stands for."""

import math
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from comd.client.service import Service
from shared.errors import (
    BadRequest,
    ComdError,
    Conflict,
    DiskFull,
    EngineReplyError,
    EngineUnavailable,
    Forbidden,
    NotFound,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unprocessable,
)
from shared.types import JsonObject

Model = TypeVar("Model", bound=BaseModel)
BY_STATUS: dict[int, type[ComdError]] = {
    kind.status: kind
    for kind in (BadRequest, Unauthorized, Forbidden, NotFound, Conflict, TooLarge, Unprocessable, DiskFull)
}
SHOWN_CHARS = 200
KEY_HINT = "`comd key show` prints this machine's key; set COMD_API_KEY to it, or give key="


def parsed(service: Service, shape: type[Model], reply: httpx.Response) -> Model:
    """The answer's model; EngineReplyError where it is no such thing."""
    try:
        return shape.model_validate_json(reply.content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = f"{where}: {first['msg']}" if where else first["msg"]
        raise not_ours(service, reply, f"expected {shape.__name__} ({said})") from error


def json_object(service: Service, reply: httpx.Response) -> JsonObject:
    try:
        return dict(reply.json())
    except (ValueError, TypeError) as error:
        raise not_ours(service, reply, "expected a JSON object") from error


def not_ours(service: Service, reply: httpx.Response, expected: str) -> EngineReplyError:
    """An answer that the service itself would not give."""
    media = reply.headers.get("content-type", "no content type")
    return EngineReplyError(
        f"the {service.name} at {service.url}: {expected}, got {reply.status_code} with {media}: "
        f"{reply.text[:SHOWN_CHARS]!r}",
        hint=f"check that a {service.name} of this version answers there, and not a proxy or another service",
    )


def error_of(service: Service, reply: httpx.Response) -> ComdError:
    """The error that the service told of, with its status and code. The reply has been read."""
    said = _told(reply)
    if said is None:
        return _without_words(service, reply)
    message, code, status = str(said["message"]), str(said.get("code") or ""), reply.status_code
    if status == 503:  # it has lost its database for now, say; whoever can wait may ask again
        return EngineUnavailable(message, code=code or None, retry_after_s=retry_after_s(reply))
    if status == 429:
        return TooManyRequests(message, retry_after_s=math.ceil(retry_after_s(reply)))
    hint = KEY_HINT if status == 401 else None
    error = BY_STATUS.get(status, ComdError)(message, code=code or None, param=said.get("param"), hint=hint)
    error.status = status
    return error


def retry_after_s(reply: httpx.Response) -> float:
    """Seconds to wait as the service asks for; 0 where it says nothing that can be read."""
    try:
        return max(0.0, float(reply.headers.get("retry-after", "0")))
    except ValueError:  # a date, which our services do not send
        return 0.0


def _told(reply: httpx.Response) -> dict[str, Any] | None:
    try:
        said = reply.json()["error"]
        return said if isinstance(said, dict) and "message" in said else None
    except (ValueError, KeyError, TypeError):
        return None


def _without_words(service: Service, reply: httpx.Response) -> ComdError:
    if reply.status_code == 503:
        message = f"the {service.name} at {service.url} answered 503: {reply.text[:SHOWN_CHARS]}"
        return EngineUnavailable(message, retry_after_s=retry_after_s(reply))
    return not_ours(service, reply, "expected an answer of its own")
