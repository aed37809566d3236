"""The processes of the benchmark: started, told what to do, ended; and the CPU time of each, read from outside."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
START_S = 60.0

Process = subprocess.Popen[str]


def cpu_seconds(process: Process) -> float:
    """User and system time of all its threads, to the nanosecond: Linux has a clock for each process.

    What /proc/PID/stat and so psutil say comes in steps of 10 ms, too coarse for a turn.
    """
    return time.clock_gettime((~process.pid << 3) | 2)


class Processes:
    """Those that were started; all end with the block. What they log goes to `log`, whose end is shown on failure."""

    def __init__(self, log: Path, environment: Mapping[str, str]):
        self.log, self.environment = log, {**os.environ, **environment}
        self._ends = ExitStack()

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._ends.close()
        if kind is not None:
            print(self.log.read_text()[-3000:], file=sys.stderr)

    def start(self, module: str, *arguments: str, python: Path | None = None) -> Process:
        command = [str(python or sys.executable), "-W", "ignore", "-m", module, *arguments]
        with self.log.open("a") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._ends.callback(_end, process)
        return process


def told(process: Process, line: str | None = None) -> str:
    """What it says next, after `line` where one is given; RuntimeError where it has ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    if line is not None:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    said = process.stdout.readline().strip()
    if not said:
        raise RuntimeError(f"{process.args!r} ended with {process.wait(5)}; the log's end is shown above")
    return said


def wait_until_ready(url: str) -> None:
    """Until the service says that its engine can be reached."""
    ends = time.monotonic() + START_S
    while time.monotonic() < ends:
        try:
            if httpx.get(f"{url}/ready", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"{url} was not ready after {START_S:g} s")


def _end(process: Process) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
