"""Child processes that never outlive us: started in sessions of their own, told to stop when we die.

In: a command line and a log file. Out: a `Child` that is watched, restarted by its owner, and stopped.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1
STOP_WITHIN_S = 8.0


def _die_with_parent(stop_signal: signal.Signals) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(stop_signal))


@dataclass
class Child:
    """One process of the stack. `stop_signal` is what it takes as a request to end in good order."""

    name: str
    command: Sequence[str]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0  # of time.monotonic()

    def start(self) -> None:
        """Start it; its output is appended to the log file."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **self.env},
                start_new_session=True,  # Ctrl-C reaches us alone, and we stop everybody in order
                preexec_fn=lambda: _die_with_parent(self.stop_signal),
            )
        self.started_at = time.monotonic()

    @property
    def exit_status(self) -> int | None:
        """None while it runs or before it was started."""
        return self.process.poll() if self.process else None

    def ask_to_stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)

    def wait_or_kill(self, timeout_s: float = STOP_WITHIN_S) -> None:
        """Wait for the end that was asked for; kill the whole session where it does not come."""
        if self.process is None:
            return
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def last_words(self, num_lines: int = 12) -> str:
        """The end of its log, for messages."""
        if not self.log.exists():
            return "(no log)"
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 8192))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-num_lines:])
