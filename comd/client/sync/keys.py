# Made from comd/client/aio by `python comd/client/unasync.py`: change it there.
"""`client.keys`: named bearer keys of the coordinator. All of it needs a key with the scope `admin`."""

from comd.client.service import at
from comd.client.sync.link import Link
from services.coordinator.api.shapes import Key, KeyList, NewKey
from shared.scopes import KeyScope


class Keys:
    def __init__(self, link: Link):
        self._link = link

    def list(self) -> list[Key]:
        """All keys, revoked ones too, the newest first; the keys themselves are nowhere."""
        found = self._link.get(KeyList, at("keys"))
        return found.data

    def create(self, name: str, scope: KeyScope = "read") -> NewKey:
        """A new key; its `key` is shown this once. `read`: look; `run`: also change runs; `admin`: also keys."""
        return self._link.post(NewKey, at("keys"), {"name": name, "scope": scope})

    def revoke(self, name: str) -> Key:
        """Refuse it from now on, for good; every coordinator does so within seconds."""
        return self._link.delete(Key, at("keys", name))
