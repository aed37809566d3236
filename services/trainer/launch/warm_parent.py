"""The service's side of the warm parent. In: programs to run. Out: their exit statuses, as futures."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from services.trainer.launch.running import Program
from shared import logs

log = logs.get(__name__)
# Threads that wait for each other sleep: where cores are shared, spinning made a job four times slower.
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
ROOT = Path(__file__).resolve().parents[3]


class WarmParent:
    """The life of the warm parent process; started again when it was lost."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._programs: dict[str, Program] = {}
        self._count = 0
        self.closing = False
        self.num_gpus = 0

    @property
    def warm(self) -> bool:
        """Whether it can fork at once."""
        return self._ready.is_set()

    async def ready(self) -> int:
        """Wait until it is warm; the number of this machine's GPUs."""
        await self._ready.wait()
        return self.num_gpus

    async def start(self) -> None:
        """Begin to warm up; programs asked for meanwhile wait until it is warm."""
        self._ready.clear()
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.trainer.launch.launcher",
            str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**PASSIVE, **os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # a Ctrl-C in the terminal is the service's to handle
        )
        self._reader = asyncio.create_task(self._read(self._process))

    async def run(
        self,
        program: str,
        arguments: dict[str, Any],
        log_file: Path,
        environment: dict[str, str] | None = None,
        ranks: int = 1,
    ) -> Program:
        """Fork a program: one of `launcher.PROGRAMS`."""
        if self._process is None or self._process.returncode is not None:
            await self.start()
        await self._ready.wait()
        self._count += 1
        name = f"{program}-{self._count}"
        asked = Program(name, lambda signal: self._say(kill=name, signal=signal))
        self._programs[asked.name] = asked
        await self._say(
            id=asked.name,
            program=program,
            arguments=arguments,
            ranks=ranks,
            log=str(log_file),
            environment=environment or {},
        )
        return asked

    async def close(self) -> None:
        """End it; it takes everything that it forked with it."""
        self.closing = True
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            try:
                await asyncio.wait_for(self._process.wait(), 2)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._reader is not None:
            await self._reader

    async def _say(self, **message: Any) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        await self._process.stdin.drain()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            message = json.loads(line)
            if message.get("ready"):
                self.num_gpus = int(message["gpus"])
                log.info("warm_parent_ready", pid=process.pid, gpus=self.num_gpus)
                self._ready.set()
            elif "exit" in message:
                self._over(message["id"], int(message["exit"]))
        status = await process.wait()
        self._ready.set()  # whoever waits for a parent that died must find out
        for name in list(self._programs):
            self._over(name, status or 1)

    def _over(self, name: str, status: int) -> None:
        program = self._programs.pop(name, None)
        if program is not None and not program.exited.done():
            program.exited.set_result(status)
