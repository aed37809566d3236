"""`/v1/keys`: make, list and revoke bearer keys. A key itself is shown once, when it is made."""

from fastapi import APIRouter, Request, Response
from pydantic import Field

from services.coordinator.api.frame import Asked, Desk, answer, asked_by
from services.coordinator.api.shapes import Key, KeyList, NewKey
from services.coordinator.key_ring import KeyRing, hash_of, new_key
from services.coordinator.repositories import api_keys, event_log
from shared.callers import needs
from shared.errors import Conflict, NotFound
from shared.keys import INTERNAL, OPERATOR
from shared.scopes import KeyScope

RESERVED = {OPERATOR.name, INTERNAL.name}


class KeyRequest(Asked):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="who will use it")
    scope: KeyScope = Field(
        "read", description="read: look; run: also begin and change runs; admin: also keys"
    )


def router(desk: Desk, ring: KeyRing) -> APIRouter:
    routes = APIRouter(prefix="/v1/keys", tags=["keys"], dependencies=[needs("admin")])

    @routes.post("", status_code=201, response_model=NewKey)
    async def make(asked: KeyRequest, request: Request) -> Response:
        """The answer holds the key, which nobody can read again."""
        key = new_key()
        async with desk.engine.begin() as c:
            made = None
            if asked.name not in RESERVED:
                made = await api_keys.add(c, asked.name, asked.scope, hash_of(key))
            if made is not None:
                told = {"name": asked.name, "scope": asked.scope}
                await event_log.record(c, None, "key_made", asked_by(request), **told)
        if made is None:
            raise Conflict(
                f"there is or was a key {asked.name!r}; choose another name, which then means one key for ever"
            )
        ring.forget()
        return answer({**made, "key": key}, 201)

    @routes.get("", response_model=KeyList)
    async def everything() -> Response:
        await ring.note_uses()
        async with desk.engine.connect() as c:
            return answer({"object": "list", "data": await api_keys.everything(c)})

    @routes.delete("/{name}", response_model=Key)
    async def revoke(name: str, request: Request) -> Response:
        """For good. Every coordinator refuses it within seconds."""
        async with desk.engine.begin() as c:
            revoked = await api_keys.revoke(c, name)
            if revoked is not None:
                await event_log.record(c, None, "key_revoked", asked_by(request), name=name)
        if revoked is None:
            raise NotFound(f"there is no key {name!r}; GET /v1/keys lists them")
        ring.forget()
        return answer(revoked)

    return routes
