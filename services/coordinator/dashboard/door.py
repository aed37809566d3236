"""How browsers come in: by a session's cookie instead of a key. In: a request. Out: whose it is, or a refusal.

A request that changes something needs the session's CSRF token as a header, and a host that we are known by.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Scope

from services.coordinator.dashboard import session
from services.coordinator.key_ring import KeyRing, hash_of
from shared.callers import LOOKS
from shared.errors import ComdError, Forbidden, SeeOther, Unauthorized
from shared.hosts import leads_to_allowed
from shared.scopes import Caller

COOKIE = "comd_session"
CSRF_HEADER = "x-csrf-token"
OPEN_PAGES = frozenset({"/signin", "/signout"})
ASSETS = "/static/"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Door:
    """The sessions of one coordinator."""

    ring: KeyRing
    secret: bytes
    allowed_hosts: frozenset[str]
    clock: Callable[[], float] = time.time

    def is_open(self, path: str) -> bool:
        return path in OPEN_PAGES or path.startswith(ASSETS)

    async def caller(self, scope: Scope, headers: Headers) -> Caller | None:
        """Whose session the request's cookie is; Forbidden where it may not be used for such a request."""
        found = session.read(self.secret, _token(headers), self.clock())
        known = await self.ring.named(found.name) if found else None
        if found is None or known is None or not session.is_of_key(self.secret, found, known.sha256):
            return None
        if scope["method"] not in LOOKS:
            self.check_place(headers)
            if not session.is_right_csrf_token(found, headers.get(CSRF_HEADER, "")):
                raise Forbidden(
                    f"expected the header {CSRF_HEADER} with this session's token; reload the page, which has it",
                    code="csrf_token_wrong",
                )
        scope["comd_session"] = found
        return known.caller

    async def open_session(self, key: str) -> str | None:
        """A token for whoever holds the key; None where it opens nothing here."""
        caller = await self.ring.caller(key)
        if caller is None or caller.internal:
            return None
        return session.issue(self.secret, caller.name, hash_of(key), self.clock())

    def check_place(self, headers: Headers) -> None:
        """Forbidden for a request from another site's page, or to a name that may be another site's."""
        host = headers.get("host", "")
        if not leads_to_allowed(f"http://{host}", LOOPBACK | self.allowed_hosts):
            raise Forbidden(
                f"expected this machine's own address or one of allowed_hosts as host, got {host[:100]!r}; the "
                "operator can name it: COMD_COORDINATOR_ALLOWED_HOSTS='[\"name\"]'",
                code="host_not_allowed",
            )
        if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            raise Forbidden("this was asked for by a page of another site", code="cross_site")

    def turn_away(self, scope: Scope, headers: Headers) -> ComdError | None:
        """The answer for a browser that asks for a page without a session; None for anybody else."""
        path = scope["path"]
        wants_page = "text/html" in headers.get("accept", "") and not path.startswith("/v1/")
        if not wants_page:
            return None
        if "hx-request" in headers:  # a part of a page that is open: the whole page goes
            return Unauthorized("the session has ended; sign in again", headers={"hx-redirect": "/signin"})
        return SeeOther("/signin" if path == "/" else f"/signin?to={quote(path, safe='/')}")


def _token(headers: Headers) -> str:
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
