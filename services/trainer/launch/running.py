"""A program that runs for the trainer, however it was launched. In: its end. Out: a future, and a way to kill it."""

import asyncio
from collections.abc import Awaitable, Callable


class Program:
    """`exited` gives the exit status when all its processes are over; negative for a signal."""

    def __init__(self, name: str, send: Callable[[int], Awaitable[None]]):
        self.name, self._send = name, send
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def kill(self, signal: int) -> None:
        """Send a signal to every process that is left."""
        if not self.exited.done():
            await self._send(signal)
