"""Runs a command and leaves nothing of it behind. In: the pid of who asked, and a command line.

Out: the command's exit status. When whoever asked is gone, or says SIGTERM, the command and everything that it
started ends, processes in sessions of their own included: this process is where orphans land. Linux only; the
standard library only, so that it starts in no time.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
GRACE_S = 5.0


class Ended(Exception):
    """We are to end: by a signal, or because our parent is gone."""


def main(parent: int, command: list[str]) -> int:
    """The status of the command; 128 + SIGTERM where it was ended."""
    _ask_kernel(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, _end)
    _ask_kernel(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        return 1  # it ended before the request was in place
    child = None
    try:
        child = subprocess.Popen(command, preexec_fn=lambda: _ask_kernel(PR_SET_PDEATHSIG, signal.SIGKILL))
        return _status_of(child.pid)
    except Ended:
        if child is not None:
            _ask_to_end(child.pid)
        return 128 + signal.SIGTERM
    finally:
        _kill_descendants()


def _end(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Ended


def _ask_kernel(request: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(request, int(value))


def _status_of(wanted: int) -> int:
    """Collect whatever ends, orphans too, until the wanted process has."""
    while True:
        pid, raw = os.waitpid(-1, 0)
        if pid == wanted:
            return os.waitstatus_to_exitcode(raw) & 0xFF


def _ask_to_end(wanted: int) -> None:
    """Let it free what outlives a process (shared memory), for a moment."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(wanted, signal.SIGTERM)
        ends = time.monotonic() + GRACE_S
        while time.monotonic() < ends and os.waitpid(wanted, os.WNOHANG) == (0, 0):
            time.sleep(0.02)


def _kill_descendants() -> None:
    while True:
        for pid in _descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for known in found:
        with contextlib.suppress(OSError):
            for children in Path(f"/proc/{known}/task").glob("*/children"):
                found += map(int, children.read_text().split())
    return found[1:]


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), sys.argv[2:]))
