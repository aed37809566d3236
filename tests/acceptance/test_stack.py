"""The local stack as a process: it starts from a path with a space, restarts what dies, and leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from comd.commands.exits import Exit
from comd.stack.ports import is_taken

ROOT = Path(__file__).parents[2]
START_S, STOP_S = 90.0, 20.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "a path with spaces"


@pytest.fixture
def base_port() -> int:
    """Ten free ports below the range from which the kernel gives out ports of its own."""
    for first in range(20000 + os.getpid() % 100 * 100, 32000, 10):
        if not any(is_taken(port) for port in range(first, first + 10)):
            return first
    raise AssertionError("no ten ports are free")


def start(home: Path, base_port: int) -> subprocess.Popen[str]:
    """`comd up` with the scripted engine; what it says goes to a file beside its folder."""
    home.parent.mkdir(exist_ok=True)
    env = {key: value for key, value in os.environ.items() if key not in {"DATABASE_URL", "REDIS_URL"}}
    flags = [f"--base-port={base_port}"]
    with said(home).open("w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "comd", "up", *flags],
            cwd=ROOT,
            env={**env, "COMD_HOME": str(home), "COMD_STACK_SCRIPTED": "{}"},
            stdout=output,
            stderr=output,
            text=True,
            # whoever runs us in the background may have us ignore it, and our children with us
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def said(home: Path) -> Path:
    return home.with_suffix(".out")


def wait_until_up(stack: subprocess.Popen[str], home: Path, base_port: int) -> None:
    ends = time.monotonic() + START_S
    while time.monotonic() < ends:
        assert stack.poll() is None, said(home).read_text()
        if "The stack is up." not in said(home).read_text():
            time.sleep(0.2)
            continue
        try:
            if httpx.get(f"http://127.0.0.1:{base_port}/ready", trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"the stack was not ready within {START_S} s")


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def assert_all_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=STOP_S)
    assert not [one.cmdline() for one in alive if one.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def stack(home: Path, base_port: int) -> Iterator[subprocess.Popen[str]]:
    process = start(home, base_port)
    try:
        wait_until_up(process, home, base_port)
        yield process
    finally:
        left = descendants(process) if process.poll() is None else []
        process.kill()
        process.wait()
        psutil.wait_procs(left, timeout=STOP_S)


def test_it_restarts_what_dies_and_stops_in_order(
    stack: subprocess.Popen[str], home: Path, base_port: int
) -> None:
    processes = descendants(stack)
    coordinator = next(p for p in processes if "services.coordinator" in p.cmdline())
    coordinator.kill()
    coordinator.wait(10)
    wait_until_up(stack, home, base_port)
    kill_servers_often(stack, times=5)
    wait_until_up(stack, home, base_port)
    second = subprocess.run(
        [sys.executable, "-m", "comd", "up", f"--base-port={base_port}"],
        cwd=ROOT,
        env={**os.environ, "COMD_HOME": str(home)},
        capture_output=True,
        text=True,
    )
    assert second.returncode == Exit.CONFLICT
    assert "another stack is running" in second.stderr
    processes = descendants(stack)
    stack.send_signal(signal.SIGINT)
    assert stack.wait(STOP_S) == 130
    assert_all_gone(processes)


def kill_servers_often(stack: subprocess.Popen[str], times: int) -> None:
    """Postmaster, Redis and worker, again and again; each comes back every time."""
    for _ in range(times):
        dead = [the_one(stack, what) for what in ("postgres", "redis-server", "services.coordinator.worker")]
        for process in dead:
            process.kill()
        psutil.wait_procs(dead, timeout=STOP_S)


def the_one(stack: subprocess.Popen[str], what: str) -> psutil.Process:
    """The stack's own child of this kind, once there is one."""
    ends = time.monotonic() + STOP_S
    while time.monotonic() < ends:
        for process in psutil.Process(stack.pid).children():
            with suppress(psutil.NoSuchProcess):
                if process.status() != psutil.STATUS_ZOMBIE and any(
                    what in part for part in process.cmdline()
                ):
                    return process
        time.sleep(0.05)
    raise AssertionError(f"no {what} came back within {STOP_S} s")


def test_nothing_outlives_a_killed_stack_and_the_next_one_starts(
    stack: subprocess.Popen[str], home: Path, base_port: int
) -> None:
    processes = descendants(stack)
    assert len(processes) > 8
    stack.kill()
    stack.wait()
    assert_all_gone(processes)
    again = start(home, base_port)
    try:
        wait_until_up(again, home, base_port)
    finally:
        processes = descendants(again)
        again.terminate()
        again.wait(STOP_S)
        assert_all_gone(processes)


def test_a_taken_port_is_named(home: Path, base_port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base_port))
        taken.listen()
        process = start(home, base_port)
        assert process.wait(START_S) == Exit.CONFLICT
    assert f"port in use: {base_port} (coordinator)" in said(home).read_text()
