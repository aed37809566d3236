"""One driver at a time: a Postgres advisory lock, and beside it an epoch that every write of the driver checks.

A leader whose connection died loses the lock without noticing; the epoch then refuses all its writes. One that is
silent (stopped, or cut off from the server) loses lock and open transactions to timeouts of the server.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.coordinator.database import Reader
from services.coordinator.repositories.rows import scalar
from shared.errors import ComdError

DRIVER_LOCK = 0x434F4D45
HEARTBEAT_S = 1.0
SILENCE = "10s"  # after so long without a word the server ends the leader's sessions
EPOCH = f"""
    SELECT epoch, set_config('idle_in_transaction_session_timeout', '{SILENCE}', true)
    FROM leadership WHERE id = 1 FOR SHARE
"""


class LeadershipLost(ComdError):
    """Somebody else drives now; what was being written is rolled back."""


@dataclass(frozen=True)
class Leader:
    """The right to drive, in one epoch."""

    engine: AsyncEngine
    epoch: int

    @property
    def reader(self) -> Reader:
        """For statements that only read; they need no right to drive."""
        return Reader(self.engine)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits only while this epoch is the newest."""
        async with self.engine.begin() as c:
            newest = await scalar(c, EPOCH)
            if newest != self.epoch:
                raise LeadershipLost(f"epoch {self.epoch} is over: another driver leads with {newest}")
            yield c


@asynccontextmanager
async def leadership(engine: AsyncEngine) -> AsyncIterator[tuple[Leader, AsyncConnection]]:
    """Wait for the lock, then open a new epoch. The connection given holds the lock."""
    async with engine.connect() as lock:
        await lock.execution_options(isolation_level="AUTOCOMMIT")
        try:
            await scalar(lock, f"SELECT set_config('idle_session_timeout', '{SILENCE}', false)")
            while not await scalar(lock, "SELECT pg_try_advisory_lock(:key)", key=DRIVER_LOCK):
                await asyncio.sleep(HEARTBEAT_S)
            epoch = await scalar(
                lock,
                """
                INSERT INTO leadership (id, epoch) VALUES (1, 1)
                ON CONFLICT (id) DO UPDATE SET epoch = leadership.epoch + 1 RETURNING epoch
                """,
            )
            yield Leader(engine, int(epoch)), lock
        finally:
            if not lock.closed and not lock.invalidated:
                await lock.invalidate()  # closes the session, which gives the lock back


async def heartbeat(lock: AsyncConnection) -> None:
    """Runs until the connection that holds the lock is gone, and then raises."""
    while True:
        await scalar(lock, "SELECT 1")
        await asyncio.sleep(HEARTBEAT_S)
