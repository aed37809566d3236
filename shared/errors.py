"""The one tree of errors. Each carries its HTTP status and OpenAI's error type and code.

A message says what was expected, what came, and what to do; keys in it are masked before anybody sees it.
"""

from collections.abc import Mapping
from typing import Any

from shared.masking import mask


class ComdError(Exception):
    """Root of the tree; `status` is the HTTP status under which it leaves a service, or came from one.

    `code` is the kind of error, for programs; `hint` says a person what to do, where the message does not.
    """

    status: int = 500
    type: str = "server_error"
    code: str = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        self.message = writable(mask(message))
        super().__init__(f"{self.message}; {hint}" if hint else self.message)
        self.code = code or self.code
        self.param = param
        self.hint = hint
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """OpenAI's error object; `param` is the field at fault, where it is one."""
        said = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": said}


class SeeOther(ComdError):
    """Not here: a browser is sent to another page of ours."""

    status, type, code = 303, "invalid_request_error", "see_other"

    def __init__(self, location: str):
        super().__init__(f"see {location}", headers={"location": location})


class BadRequest(ComdError):
    status, type, code = 400, "invalid_request_error", "bad_request"


class Unauthorized(ComdError):
    status, type, code = 401, "authentication_error", "invalid_api_key"


class Forbidden(ComdError):
    status, type, code = 403, "permission_error", "forbidden"


class NotFound(ComdError):
    status, type, code = 404, "invalid_request_error", "not_found"


class Conflict(ComdError):
    status, type, code = 409, "conflict_error", "conflict"


class TooLarge(ComdError):
    status, type, code = 413, "invalid_request_error", "too_large"


class Unprocessable(ComdError):
    status, type, code = 422, "invalid_request_error", "unprocessable"


class EngineReplyError(ComdError):
    """The engine answered, but not with what its protocol promises."""

    status, type, code = 502, "engine_error", "engine_reply"


class EngineUnavailable(ComdError):
    """The engine is down or refuses work for now; the caller waits and asks again."""

    status, type, code = 503, "engine_error", "engine_unavailable"

    def __init__(
        self, message: str, *, retry_after_s: float = 1.0, code: str | None = None, hint: str | None = None
    ):
        super().__init__(message, code=code, hint=hint, headers={"retry-after": f"{retry_after_s:g}"})
        self.retry_after_s = retry_after_s


class EngineUnreachable(EngineUnavailable):
    """Nobody answers at the engine's address."""


class EngineSlow(EngineUnavailable):
    """The engine took longer than a call's deadline; it may still be at it."""


class RoleBusy(ComdError):
    """Too many calls wait for the engine; nothing of the request was done."""

    status, type, code = 429, "rate_limit_error", "role_busy"

    def __init__(self, message: str, *, retry_after_s: float):
        super().__init__(message, headers={"retry-after": f"{retry_after_s:.3g}"})


class TooManyRequests(ComdError):
    """One caller asks for more than its share."""

    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after_s: int):
        super().__init__(message, headers={"retry-after": str(retry_after_s)})


class DiskFull(ComdError):
    """Nothing was written; the caller frees space and asks again."""

    status, type, code = 507, "server_error", "disk_full"


class ConfigError(ComdError):
    """A setting that cannot be used; ends a process with exit status 2."""

    status, type, code = 422, "invalid_request_error", "bad_configuration"


def writable(text: str) -> str:
    """The text in a form that UTF-8 can hold: half characters, which JSON can carry, are spelled out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def told(value: object, most: int = 60) -> str:
    """A wrong value as a message shows it: never whole where it is long."""
    shown = repr(value)
    return shown if len(shown) <= most else f"{shown[:most]}..."
