"""What every request passes: its id, its key, its limits, its length; and what is counted and logged of its answer.

Pure ASGI, for speed. In: a request. Out: the app's answer with the request's id, or a refusal.
"""

import time
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import http_metrics, logs, request_ids
from shared.answers import error_answer
from shared.callers import OPEN_PATHS, Browsers, FindCaller
from shared.errors import BadRequest, ComdError, TooLarge, Unauthorized
from shared.rates import Rates
from shared.scopes import Caller

EVERYDAY = {401, 404, 409, 429, 503}  # refusals that come in floods or mean nothing more than "not now"

log = logs.get(__name__)


@dataclass(frozen=True)
class Gate:
    """The middleware of one service."""

    app: ASGIApp
    service: str
    find_caller: FindCaller
    rates: Rates
    max_body_bytes: int
    browsers: Browsers | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        with request_ids.bound(headers.get(request_ids.HEADER)) as request_id:
            answer = _Answer(send, request_id)
            try:
                await self._admit(scope, headers)
                await self.app(scope, self._bounded(receive), answer.send)
            except ComdError as refusal:
                await answer.refuse(refusal, scope, receive)
            except Exception as error:
                log.error("unexpected_error", path=scope["path"], exc_info=error)
                await answer.refuse(_unexpected(request_id), scope, receive)
            finally:
                self._note(scope, answer)

    async def _admit(self, scope: Scope, headers: Headers) -> None:
        scope["comd_key"] = None
        if not self._is_open(scope["path"]):
            caller = await self._caller(scope, headers)
            scope["comd_key"], scope["comd_caller"] = caller, caller.name
            if not caller.internal:
                await self.rates.count_request(caller.name)
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise BadRequest(f"content-length: expected a number, got {length[:40]!r}")
        if len(length) > 18 or int(length) > self.max_body_bytes:
            raise TooLarge(self._too_large())

    def _is_open(self, path: str) -> bool:
        return path in OPEN_PATHS or (self.browsers is not None and self.browsers.is_open(path))

    async def _caller(self, scope: Scope, headers: Headers) -> Caller:
        given = headers.get("authorization", "")
        browsers = None if given else self.browsers
        if browsers is not None:
            caller = await browsers.caller(scope, headers)
        else:
            caller = await self.find_caller(given[7:].strip() if given[:7].lower() == "bearer " else "")
        if caller is None:
            await self.rates.count_wrong_key(address(scope))
            if browsers is not None and (answer := browsers.turn_away(scope, headers)):
                raise answer
            raise Unauthorized(
                "expected the header 'Authorization: Bearer KEY' with a key that is known and not revoked; "
                "`comd key show` prints this machine's"
            )
        return caller

    def _bounded(self, receive: Receive) -> Receive:
        """The body as it comes; refused as soon as it is longer than allowed, whatever length it said it has."""
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                if read > self.max_body_bytes:
                    raise HTTPException(413, self._too_large())  # of this kind FastAPI lets it through
            return message

        return counted

    def _too_large(self) -> str:
        return f"the body is longer than {self.max_body_bytes} bytes, which is the most that is taken here"

    def _note(self, scope: Scope, answer: "_Answer") -> None:
        status = answer.status or 499  # the caller left before an answer began
        http_metrics.count(self.service, scope, status, answer.taken_s)
        if status >= 400 and status not in EVERYDAY:
            say = log.warning if status >= 500 else log.info
            say(
                "request_refused",
                method=scope["method"],
                path=scope["path"][:200],
                status=status,
                caller=scope.get("comd_caller"),
            )


def address(scope: Scope) -> str:
    """Where a request comes from."""
    return str((scope.get("client") or ("unknown", 0))[0])


class _Answer:
    """One answer on its way: with the request's id, its status, and when it began."""

    def __init__(self, send: Send, request_id: str):
        self._send, self._request_id = send, request_id
        self._started, self.taken_s = time.perf_counter(), 0.0
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.taken_s = message["status"], time.perf_counter() - self._started
            MutableHeaders(scope=message)[request_ids.HEADER] = self._request_id
        await self._send(message)

    async def refuse(self, error: ComdError, scope: Scope, receive: Receive) -> None:
        if self.status is not None:  # too late for another status: the connection is broken off
            raise error
        await error_answer(error)(scope, receive, self.send)


def _unexpected(request_id: str) -> ComdError:
    return ComdError(
        f"something went wrong inside the service; its log has the details by the id {request_id}"
    )
