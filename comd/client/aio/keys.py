"""`client.keys`: named bearer keys of the coordinator. All of it needs a key with the scope `admin`."""

from comd.client.aio.link import AsyncLink
from comd.client.service import at
from services.coordinator.api.shapes import Key, KeyList, NewKey
from shared.scopes import KeyScope


class AsyncKeys:
    def __init__(self, link: AsyncLink):
        self._link = link

    async def list(self) -> list[Key]:
        """All keys, revoked ones too, the newest first; the keys themselves are nowhere."""
        found = await self._link.get(KeyList, at("keys"))
        return found.data

    async def create(self, name: str, scope: KeyScope = "read") -> NewKey:
        """A new key; its `key` is shown this once. `read`: look; `run`: also change runs; `admin`: also keys."""
        return await self._link.post(NewKey, at("keys"), {"name": name, "scope": scope})

    async def revoke(self, name: str) -> Key:
        """Refuse it from now on, for good; every coordinator does so within seconds."""
        return await self._link.delete(Key, at("keys", name))
