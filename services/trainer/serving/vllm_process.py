"""vLLM as a child process in an environment of its own. In: settings and a folder that holds the model.
Out: a connection to it. It listens on a unix socket in a folder that only our user may enter, since its
development routes ask nobody for a key.
"""

import asyncio
import contextlib
import hashlib
import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from services.trainer.serving.vllm_request import SERVED_NAME
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
# All that vLLM sees of our environment: neither our keys nor our Python paths.
PASSED_ON = re.compile(
    r"(PATH|HOME|USER|LOGNAME|LANG|TZ|TMPDIR|LD_LIBRARY_PATH|LD_PRELOAD|(LC|XDG|CUDA|NVIDIA|NCCL|GLOO|ROCR|HIP|HSA"
    r"|OMP|MKL|KMP|TORCH|TORCHINDUCTOR|TRITON|VLLM)_(?!API_KEY).*|HF_HOME)"
)


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
        command = [str(self.settings.python), *self._arguments(model, dtype, socket)]
        with self.log_file.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", str(GUARD), str(os.getpid()), *command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment(sockets),
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
        await self.stop()
        if self._watch is not None:
            await self._watch

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
            env=self._environment(None),
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

    def _arguments(self, model: Path, dtype: str, socket: Path) -> list[str]:
        settings = self.settings
        given = {
            "--model": model,
            "--served-model-name": SERVED_NAME,
            "--uds": socket,
            "--dtype": dtype,
            "--generation-config": "vllm",  # else a model's own sampling defaults would cut answers short
            "--tensor-parallel-size": settings.tensor_parallel_size,
            "--gpu-memory-utilization": settings.gpu_memory_utilization,
            "--max-model-len": settings.max_model_len,
        }
        flags = [str(part) for flag, value in given.items() if value is not None for part in (flag, value)]
        flags += ["--enable-sleep-mode"] if self.can_sleep else []
        return ["-m", "vllm.entrypoints.openai.api_server", *flags, *settings.flags]

    def _environment(self, sockets: Path | None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name)}
        ours = {
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "VLLM_HOST_IP": "127.0.0.1",
        }
        if sockets is not None:  # its processes talk to each other by sockets of their own
            ours |= {"VLLM_RPC_BASE_PATH": str(sockets), "VLLM_SERVER_DEV_MODE": "1"}
        return {**kept, **ours}

    def _last_words(self) -> str:
        text = self.log_file.read_text(errors="replace") if self.log_file.is_file() else ""
        return "\n".join(text.splitlines()[-12:])[-2000:]


def private_folder(home: Path) -> Path:
    """A short path, because socket paths end at 107 bytes; the same for the same home; closed to all others."""
    name = hashlib.sha256(str(home.absolute()).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"comd-vllm-{os.geteuid()}-{name}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if (
        not stat.S_ISDIR(found.st_mode)
        or found.st_uid != os.geteuid()
        or stat.S_IMODE(found.st_mode) != 0o700
    ):
        raise ConfigError(f"{folder}: expected a folder that only we may enter (mode 0700); remove it")
    return folder
