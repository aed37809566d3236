"""A Docker daemon for the tests: the one that runs, else one of our own for as long as they last.

In: nothing. Out: `daemon()`, a context; NotHere says why there can be none.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STARTS_WITHIN_S = 60.0
# the second way is for kernels that lack overlayfs or the filter tables
WAYS = ([], ["--storage-driver=vfs", "--iptables=false"])


class NotHere(Exception):
    """What these tests need and this machine does not have."""


def output(*command: str, check: bool = True) -> str:
    """What a command printed, both streams; AssertionError with it where it failed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert not check or done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout[-3000:]}"
    return done.stdout


def works(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


@contextmanager
def daemon(log: Path) -> Iterator[None]:
    """While it lasts `docker` works."""
    if shutil.which("docker") is None:
        raise NotHere("there is no docker command")
    if works("docker", "info"):
        yield
        return
    if shutil.which("dockerd") is None:
        raise NotHere("no Docker daemon runs, and there is no dockerd to start")
    process = _started(log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def _started(log: Path) -> "subprocess.Popen[bytes]":
    for way in WAYS:
        with log.open("wb") as file:
            process = subprocess.Popen(["dockerd", *way], stdout=file, stderr=file)
        ends = time.monotonic() + STARTS_WITHIN_S
        while process.poll() is None and time.monotonic() < ends:
            if works("docker", "info"):
                return process
            time.sleep(0.5)
        process.kill()
        process.wait()
    raise NotHere(f"dockerd does not start here:\n{log.read_text(errors='replace')[-1500:]}")


def compose_command() -> list[str]:
    """Compose as it is here: a plugin of docker's, or Debian's older docker-compose."""
    if works("docker", "compose", "version"):
        return ["docker", "compose"]
    if shutil.which("docker-compose") is None:
        raise NotHere("there is neither `docker compose` nor docker-compose")
    return ["docker-compose"]
