"""vLLM as a child process in an environment of its own. In: settings and a folder that holds the model.
Out: a connection to it. It listens on a unix socket in a folder that only our user may enter, since its
development routes ask nobody for a key.
"""

import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from services.trainer.serving.vllm_command import arguments, environment, private_folder
from services.trainer.serving.wire import Wire
from services.trainer.settings import VllmSettings
from shared import logs
from shared.errors import ConfigError, EngineUnavailable
from shared.types import JsonObject

log = logs.get(__name__)
GUARD = Path(__file__).with_name("guard.py")
PLATFORM = (
    "import json; from vllm.platforms import current_platform as p; "
    "print(json.dumps({'device': p.device_type, 'sleep': p.is_sleep_mode_available()}))"
)
STOP_WITHIN_S = 15.0


class VllmProcess:
    """At most one process; `wire` is None while it is not up."""

    def __init__(self, settings: VllmSettings, home: Path, log_file: Path, ended: Callable[[], None]):
        self.settings, self.home, self.log_file, self.ended = settings, home, log_file, ended
        self.wire: Wire | None = None
        self.on_gpu = False
        self.can_sleep = False
        self._known_platform = False
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self.wire is not None and self._process is not None and self._process.returncode is None

    async def start(self, model: Path, dtype: str) -> None:
        """Start it and wait until it answers. EngineUnavailable, with its last words, where it does not."""
        await self.stop()
        await self._ask_platform()
        sockets = private_folder(self.home)
        for left in sockets.iterdir():
            left.unlink()
        socket = sockets / "http"
        command = [str(self.settings.python), *arguments(self.settings, self.can_sleep, model, dtype, socket)]
        with self.log_file.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", str(GUARD), str(os.getpid()), *command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment(sockets),
                cwd=sockets,
                start_new_session=True,
            )
        self.wire = Wire("http://vllm", socket=socket)
        self._watch = asyncio.create_task(self._until_ended(self._process))
        await self._until_healthy(self._process)

    async def stop(self) -> None:
        """End it and everything that it started."""
        process, self._process = self._process, None
        if self.wire is not None:
            await self.wire.close()
            self.wire = None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def close(self) -> None:
        """End it for good, and leave no sockets."""
        await self.stop()
        if self._watch is not None:
            await self._watch
            shutil.rmtree(private_folder(self.home), ignore_errors=True)

    async def _until_ended(self, process: asyncio.subprocess.Process) -> None:
        status = await process.wait()
        if process is self._process:  # else it was stopped
            log.warning("vllm_ended", status=status, log_file=str(self.log_file))
            self.ended()

    async def _until_healthy(self, process: asyncio.subprocess.Process) -> None:
        assert self.wire is not None
        ends = time.monotonic() + self.settings.start_timeout_s
        while time.monotonic() < ends and process.returncode is None:
            try:
                if (await self.wire.request("GET", "/health")).status == 200:
                    return
            except EngineUnavailable:
                await asyncio.sleep(0.1)
        await self.stop()
        raise EngineUnavailable(f"vLLM did not start; the end of {self.log_file}:\n{self._last_words()}")

    async def _ask_platform(self) -> None:
        """What vLLM itself says of the machine, asked once: its own build decides, not the hardware alone."""
        if self._known_platform:
            return
        process = await asyncio.create_subprocess_exec(
            *(str(self.settings.python), "-c", PLATFORM),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(None),
        )
        out, err = await process.communicate()
        if process.returncode:
            said = err.decode(errors="replace")[-500:]
            raise ConfigError(
                f"vllm.python: {self.settings.python} cannot import vLLM; name the python of an environment "
                f"in which it is installed: {said}"
            )
        platform: JsonObject = orjson.loads(out.splitlines()[-1])
        self.on_gpu, self.can_sleep = platform["device"] != "cpu", bool(platform["sleep"])
        self._known_platform = True

    def _last_words(self) -> str:
        text = self.log_file.read_text(errors="replace") if self.log_file.is_file() else ""
        return "\n".join(text.splitlines()[-12:])[-2000:]
