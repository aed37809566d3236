"""The stack of containers as a user drives it: compose commands in a copy of the repository, and REST from outside."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.compose.docker_host import output
from tests.compose.images import ROOT
from tests.loopback import free_port

PROJECT = "comd-test"
FILES = ("docker-compose.yml", "README.md", "configs")


class Containers:
    """A project of its own, so that a stack of the user's is left alone."""

    def __init__(self, compose: list[str], folder: Path):
        self.compose, self.folder, self.port = compose, folder, free_port()
        for name in FILES:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
        self.settings: dict[str, str] = {"COMD_PORT": str(self.port), "COMPOSE_PROJECT_NAME": PROJECT}
        self.set()

    def set(self, **settings: str) -> None:
        """Lines of `.env`, as a user writes them."""
        self.settings |= settings
        lines = [f"{name}={value}" for name, value in self.settings.items()]
        (self.folder / ".env").write_text("\n".join(lines) + "\n")

    def run(self, *arguments: str, check: bool = True) -> str:
        command = [*self.compose, *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "COMPOSE_PROJECT_NAME": PROJECT},
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}"
        return done.stdout

    def up(self, *arguments: str) -> None:
        self.run("up", "-d", "--no-build", *arguments)

    def ids(self, service: str) -> list[str]:
        return self.run("ps", "-q", service).split()

    def look(self, service: str) -> dict[str, Any]:
        """What Docker says of the service's first container."""
        return dict(json.loads(output("docker", "inspect", self.ids(service)[0]))[0])

    def crash(self, service: str) -> None:
        """End the container's first process as the kernel would; nobody asked for it, so Docker starts it again."""
        os.kill(int(self.look(service)["State"]["Pid"]), signal.SIGKILL)

    def wait_for_exit(self, service: str, within_s: float) -> int:
        wait_until(lambda: not self.look(service)["State"]["Running"], within_s, f"{service} to end")
        return int(self.look(service)["State"]["ExitCode"])

    def wait_for_health(self, within_s: float = 120) -> None:
        """All that is to go on running is up and healthy."""
        kept = [name for name in self.run("ps", "--services").split() if self.ids(name)]

        def healthy() -> bool:
            states = [self.look(name) for name in kept]
            lasting = [one for one in states if one["HostConfig"]["RestartPolicy"]["Name"] != "no"]
            return all(one["State"].get("Health", {}).get("Status") == "healthy" for one in lasting)

        wait_until(healthy, within_s, "every container to be healthy")

    def key(self) -> str:
        return self.run("exec", "-T", "coordinator", "comd", "key", "show").strip()

    def rest(self) -> httpx.Client:
        headers = {"authorization": f"Bearer {self.key()}"}
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=60, trust_env=False
        )


def wait_until(is_so: Callable[[], bool], within_s: float, what: str) -> None:
    ends = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < ends, f"waited {within_s:g} s for {what}"
        time.sleep(2)  # a look is a process or two
