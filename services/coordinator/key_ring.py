"""Whose key it is: this machine's own, or one of those in the database, which are looked at every few seconds.

In: a key. Out: its caller, or None. While the database is away, the keys known last go on to open.
"""

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.coordinator.repositories import api_keys
from shared import logs
from shared.errors import EngineUnavailable
from shared.keys import OPERATOR, Keys
from shared.masking import hide
from shared.scopes import Caller

KEPT_S = 5.0  # so long a revoked key may still open
LOOK_TIMEOUT_S = 3.0

log = logs.get(__name__)


def new_key() -> str:
    """A key of 256 random bits; its plain hash is enough, since there is nothing to guess."""
    return hide(f"comd-{secrets.token_urlsafe(32)}")


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@dataclass(frozen=True)
class Known:
    """A valid key, by its hash, and whose it is."""

    sha256: str
    caller: Caller


class KeyRing:
    """The keys of one coordinator."""

    def __init__(self, own: Keys, engine: AsyncEngine, clock: Callable[[], float] = time.monotonic):
        self._own, self._engine, self._clock = own, engine, clock
        self._known: dict[str, Known] = {}
        self._used: set[str] = set()
        self._looked_at = float("-inf")
        self._is_current = False
        self._looking = asyncio.Lock()

    async def caller(self, given: str) -> Caller | None:
        """EngineUnavailable where nobody can say whether the key is right."""
        if own := await self._own.caller(given):
            return own
        if not given:
            return None
        await self._look()
        sha256 = hash_of(given)
        known = self._known.get(sha256)
        if known is not None and hmac.compare_digest(known.sha256, sha256):
            hide(given)
            self._used.add(known.caller.name)
            return known.caller
        self._must_be_current()
        return None

    async def named(self, name: str) -> Known | None:
        """The valid key of this name; EngineUnavailable where nobody can say whether there is one."""
        if name == OPERATOR.name:
            return Known(hash_of(self._own.api), OPERATOR)
        await self._look()
        for known in self._known.values():
            if known.caller.name == name:
                self._used.add(name)
                return known
        self._must_be_current()
        return None

    def _must_be_current(self) -> None:
        if not self._is_current:
            raise EngineUnavailable(
                "the database, which knows the keys, cannot be reached just now", code="database_unavailable"
            )

    def forget(self) -> None:
        """Keys were made or revoked here: look before the next request is let in."""
        self._looked_at = float("-inf")

    async def note_uses(self) -> None:
        """Write down now which keys were used since the last look."""
        self.forget()
        await self._look()

    async def _look(self) -> None:
        async with self._looking:
            if self._clock() - self._looked_at < KEPT_S:
                return
            try:
                async with asyncio.timeout(LOOK_TIMEOUT_S):
                    await self._read()
                self._is_current = True
            except (SQLAlchemyError, TimeoutError) as error:  # whatever is wrong with the database
                self._is_current = False
                log.warning("keys_not_looked_up", reason=str(error)[:200])
            self._looked_at = self._clock()

    async def _read(self) -> None:
        async with self._engine.begin() as c:
            if self._used:
                await api_keys.note_use(c, sorted(self._used))
            rows = await api_keys.valid(c)
        self._used.clear()
        self._known = {row["sha256"]: Known(row["sha256"], Caller(row["name"], row["scope"])) for row in rows}
