"""Who may use the trainer. In: owners that ask, use and give back. Out: one holder, and a queue behind it.

A run holds the lease from its job's start to its last student answer. Kept on disk, so that a restart
changes nothing.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import orjson

from services.trainer import durable


@dataclass(frozen=True)
class Entry:
    """`checkpoint` is what the owner wants to be loaded; `used_at` is its last sign of life."""

    owner: str
    checkpoint: str | None
    used_at: float


class Lease:
    """The first entry holds the lease; the others wait in their order of arrival."""

    def __init__(self, path: Path, ttl_s: float, now: float):
        self.path, self.ttl_s = path, ttl_s
        kept = orjson.loads(path.read_bytes()) if path.is_file() else []
        self._entries = [replace(Entry(**entry), used_at=now) for entry in kept]

    @property
    def holder(self) -> Entry | None:
        return self._entries[0] if self._entries else None

    def held_by(self, owner: str) -> bool:
        return self.holder is not None and self.holder.owner == owner

    def entry(self, owner: str) -> Entry | None:
        return next((entry for entry in self._entries if entry.owner == owner), None)

    def wanting(self, checkpoint: str) -> str | None:
        """The first owner that wants this checkpoint loaded."""
        return next((entry.owner for entry in self._entries if entry.checkpoint == checkpoint), None)

    def ask(self, owner: str, checkpoint: str | None, now: float) -> Entry:
        """Join the queue, or say what is wanted loaded; asking again keeps the place."""
        known = self.entry(owner)
        entry = Entry(owner, checkpoint or (known.checkpoint if known else None), now)
        if known is None:
            self._keep([*self._entries, entry])
        else:
            self._keep([entry if e.owner == owner else e for e in self._entries])
        return entry

    def give_back(self, owner: str) -> None:
        """Leave; unknown owners are no error."""
        self._keep([entry for entry in self._entries if entry.owner != owner])

    def touch(self, owner: str, now: float) -> None:
        """A sign of life; not worth a write, since a restart counts as one for everybody."""
        self._entries = [replace(e, used_at=now) if e.owner == owner else e for e in self._entries]

    def expire(self, now: float, busy: set[str]) -> list[str]:
        """Drop who was silent for too long and has no job; gives their names."""
        gone = [e.owner for e in self._entries if e.owner not in busy and now - e.used_at > self.ttl_s]
        if gone:
            self._keep([entry for entry in self._entries if entry.owner not in gone])
        return gone

    def _keep(self, entries: list[Entry]) -> None:
        same = [(e.owner, e.checkpoint) for e in entries] == [(e.owner, e.checkpoint) for e in self._entries]
        self._entries = entries
        if not same:
            durable.write(self.path, orjson.dumps([asdict(entry) for entry in entries]))
