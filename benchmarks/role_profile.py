"""Where the teacher service's CPU time goes in a call with a picture, by the package whose code was running.

In: `python -m benchmarks.role_profile`, where py-spy can be had and may look at our processes. Out: shares.
"""

import argparse
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from benchmarks.environments import python_with
from benchmarks.role_overhead import KEYS
from benchmarks.roles.processes import Processes
from benchmarks.roles.rows import MODES, Row, teacher_row, world

PY_SPY = "py-spy==0.4.3"
OWNERS = (
    "httpx_aiohttp",
    "httpx",
    "aiohttp",
    "uvicorn",
    "fastapi",
    "starlette",
    "prometheus_client",
    "shared",
)
IDLE = ("epoll_wait", "select (")
IDLE_THREAD = "_queue_SimpleQueue_get"
STARTS_LOOP = "(uvicorn/_compat.py"
CALLS = 500


def sampled(spy: Path, row: Row, mode: str, seconds: int, file: Path) -> list[str]:
    """Stacks with their counts, while the row takes turns."""
    service = row.service
    assert service is not None
    row.turn(mode, CALLS)
    command = [str(spy), "record", "--native", "--rate", "500", "--duration", str(seconds), "--format", "raw"]
    watching = subprocess.Popen(
        [*command, "--pid", str(service.pid), "--output", str(file)], stdout=subprocess.DEVNULL
    )
    while watching.poll() is None:
        row.turn(mode, CALLS)
    if watching.returncode:
        raise SystemExit(f"py-spy ended with {watching.returncode}; it may need root")
    return file.read_text().splitlines()


def shares(stacks: Iterable[str]) -> dict[str, float]:
    """Percent of the time that is not waiting, by owner; the standard library's goes to who called it."""
    counts: Counter[str] = Counter()
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if IDLE_THREAD not in stack and not any(word in frame for frame in frames[-2:] for word in IDLE):
            counts[owner(frames)] += int(count)
    total = sum(counts.values())
    return {name: 100 * count / total for name, count in counts.most_common()}


def owner(frames: list[str]) -> str:
    """Who is at work: the kernel, the garbage collector, or the package of the innermost Python frame."""
    if frames[-1].startswith(("write (", "writev (", "send (", "sendmsg (")):
        return "writes to sockets"
    if any(frame.startswith("gc_collect_main") for frame in frames):
        return "garbage collection"
    for frame in reversed(frames):
        if STARTS_LOOP in frame:
            return "event loop"
        for name in OWNERS:
            if f"({name}/" in frame:
                return name
    return "the rest"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--mode", choices=MODES, default="image")
    parser.add_argument("--peers", type=Path, default=Path("runs/bench-roles"), help="py-spy's environment")
    options = parser.parse_args()
    python = python_with(options.peers.absolute() / "py-spy", [PY_SPY])
    if not isinstance(python, Path):
        raise SystemExit(python)
    with tempfile.TemporaryDirectory(prefix="comd-profile-") as name:
        folder = Path(name)
        with Processes(folder / "log", KEYS) as processes:
            row = teacher_row(world(processes, folder))
            stacks = sampled(python.with_name("py-spy"), row, options.mode, options.seconds, folder / "raw")
    print("| | share |\n|---|---|")
    for owner_name, percent in shares(stacks).items():
        print(f"| {owner_name} | {percent:.1f} % |")


if __name__ == "__main__":
    main()
