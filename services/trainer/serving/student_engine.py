"""The student's engine: a child process on loopback. In: a checkpoint to load, chat requests for it.
Out: its answers. Started at the first load; later weights are swapped in place.
"""

import asyncio
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson

from services.trainer.launch.running import Program
from services.trainer.launch.warm_parent import WarmParent
from services.trainer.serving import probes
from services.trainer.serving.canary import Disagreement, check
from services.trainer.serving.engine import CanaryDisagrees, Swap, record, refused
from services.trainer.serving.wire import Answer, Wire
from shared import logs
from shared.errors import EngineUnavailable

log = logs.get(__name__)
KEY_VARIABLE = "COMD_STUDENT_ENGINE_KEY"
START_TIMEOUT_S = 120.0


class StudentEngine:
    """At most one engine and one loaded student; `loaded` is None while none may be asked."""

    def __init__(
        self, parent: WarmParent, settings: dict[str, Any], log_file: Path, lost: Callable[[], None]
    ):
        self.parent, self.settings, self.log_file, self.lost = parent, settings, log_file, lost
        self.loaded: str | None = None
        self.swap: Swap = {}
        self.wire: Wire | None = None
        self._program: Program | None = None

    async def load(self, name: str, folder: Path) -> None:
        """Serve the student in `folder` as `name`, in place or, where the canary disagrees, started anew.

        EngineUnavailable where the engine cannot, CanaryDisagrees where even a new one answers wrongly.
        """
        self.loaded = None
        disagreement = await self._swapped(name, folder)
        if disagreement is not None and self.swap["how"] == "reload":
            await self._stop()
            disagreement = await self._swapped(name, folder)
        if disagreement is not None:
            raise CanaryDisagrees(name, disagreement)
        self.loaded = name
        record(name, self.swap)

    async def _swapped(self, name: str, folder: Path) -> Disagreement | None:
        """Load the weights and ask the canary."""
        await self._swap(name, folder)
        started = time.perf_counter()
        disagreement = await check(self.ask, name, probes.read(folder), with_logprobs=False)
        self.swap["canary_s"] = round(time.perf_counter() - started, 3)
        if disagreement is not None:
            refused(name, self.swap["how"], disagreement)
        return disagreement

    async def _swap(self, name: str, folder: Path) -> None:
        started = time.perf_counter()
        anew = self._program is None or self._program.exited.done()
        if anew:
            await self._start()
        assert self.wire is not None
        answer = await self.wire.request(
            "POST", "/internal/load", orjson.dumps({"model": str(folder.absolute()), "name": name})
        )
        if answer.status != 200:
            raise EngineUnavailable(
                f"the engine cannot load {name}: {answer.body[:300].decode(errors='replace')}"
            )
        seconds = round(time.perf_counter() - started, 3)
        self.swap = (
            {"how": "restart", "restart_s": seconds} if anew else {"how": "reload", "reload_s": seconds}
        )

    def release(self) -> None:
        """Answer for no student any more, until the next load: a job has the devices."""
        self.loaded = None

    async def sleep(self) -> None:
        """Only release: this engine has no device's memory to give back."""
        self.release()

    async def ask(self, body: bytes) -> Answer:
        """One chat completion, bytes in and bytes out."""
        return await self._wire().request("POST", "/v1/chat/completions", body)

    async def stream(self, body: bytes) -> tuple[Answer, AsyncIterator[bytes]]:
        """The answer's head and the pieces of its body."""
        return await self._wire().stream("POST", "/v1/chat/completions", body)

    def _wire(self) -> Wire:
        if self.wire is None:
            raise EngineUnavailable("the student's engine is not started")
        return self.wire

    async def _start(self) -> None:
        port, key = free_port(), secrets.token_urlsafe(24)
        await self.close()
        self._program = await self.parent.run(
            "engine",
            {**self.settings, "port": port, "api_key_env": KEY_VARIABLE},
            self.log_file,
            {KEY_VARIABLE: key},
        )
        self._program.exited.add_done_callback(self._ended)
        self.wire = Wire(f"http://127.0.0.1:{port}", key)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and not self._program.exited.done():
            try:
                if (await self.wire.request("GET", "/health")).status == 200:
                    return
            except EngineUnavailable:
                await asyncio.sleep(0.05)
        raise EngineUnavailable(f"the student's engine did not start; see {self.log_file}")

    async def _stop(self) -> None:
        if self._program is not None:
            await self._program.kill(signal.SIGKILL)
            await self._program.exited

    async def close(self) -> None:
        """Give the connections back; the engine itself ends with its parent."""
        if self.wire is not None:
            await self.wire.close()
            self.wire = None

    def _ended(self, exited: "asyncio.Future[int]") -> None:
        if not exited.cancelled() and not self.parent.closing:
            log.warning("student_engine_ended", status=exited.result(), log_file=str(self.log_file))
        self.loaded = None
        self.lost()


def free_port() -> int:
    """A port of loopback that is free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
