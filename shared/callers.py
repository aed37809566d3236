"""Who calls a service, and what its key allows: read < run < admin.

In: routes declare what they need. Out: Forbidden, with what is needed, where the caller's key allows less.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer, SecurityScopes
from starlette.datastructures import Headers
from starlette.types import Scope

from shared.errors import ComdError, Forbidden
from shared.scopes import SCOPES, Caller, KeyScope

OPEN_PATHS = frozenset({"/health", "/ready"})
LOOKS = frozenset({"GET", "HEAD", "OPTIONS"})

bearer = HTTPBearer(auto_error=False, scheme_name="bearer", description="`comd key create` makes keys")


FindCaller = Callable[[str], Awaitable[Caller | None]]


class Browsers(Protocol):
    """How a service that has pages lets browsers in, which send no key."""

    def is_open(self, path: str) -> bool:
        """Whether anybody may ask for it."""

    async def caller(self, scope: Scope, headers: Headers) -> Caller | None:
        """Whose session the request belongs to."""

    def turn_away(self, scope: Scope, headers: Headers) -> ComdError | None:
        """What is answered where it belongs to none; None: the same as to any other caller."""


def needs(scope: KeyScope) -> Any:
    """A route's or router's dependency: callers with less than this scope are refused; OpenAPI tells of it."""
    return Security(_needs_declared, scopes=[scope])


def scope_by_method(method: str) -> KeyScope:
    """What a route needs at least: to look is `read`, to change something is `run`."""
    return "read" if method in LOOKS else "run"


async def needs_by_method(request: Request) -> None:
    """The dependency of a whole app: no route is without a scope, whether or not it declares one."""
    if request.scope["comd_key"] is not None:
        _check(request, scope_by_method(request.method))


async def _needs_declared(request: Request, wanted: SecurityScopes, _: Any = Depends(bearer)) -> None:
    for scope in SCOPES:
        if scope in wanted.scopes:
            _check(request, scope)


def _check(request: Request, wanted: KeyScope) -> None:
    caller: Caller = request.scope["comd_key"]
    if not caller.may(wanted):
        raise Forbidden(
            f"{request.method} {request.scope['path']} needs a key with the scope {wanted!r}; "
            f"the key {caller.name!r} has {caller.scope!r}. Whoever holds an admin key can make one: "
            f"comd key create NAME --scope {wanted}",
            code="scope_missing",
        )
