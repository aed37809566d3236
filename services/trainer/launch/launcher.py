"""The warm parent. In: lines of JSON on standard input, each a program to run. Out: lines on standard output.

It imports everything once (seconds) and forks a process for each rank, so that a job starts at once. It
stays single-threaded and touches no GPU and no process group. When the service goes, its input ends: it
kills what it forked and ends; should it be killed itself, the kernel kills what it forked.
"""

import contextlib
import importlib
import json
import os
import selectors
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.trainer.launch.tied import die_with_parent

PROGRAMS = {
    "prepare": "services.trainer.training.prepare",
    "train": "services.trainer.training.program",
    "publish": "services.trainer.training.publish",
    "engine": "services.trainer.serving.engine_program",
}


@dataclass
class Group:
    """The ranks of one program; it has ended when all of them have."""

    pids: set[int] = field(default_factory=set)
    status: int = 0


def main() -> None:
    """Warm up, say so, then fork what is asked until the input ends."""
    die_with_parent(int(sys.argv[1]))
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)  # the service decides; a Ctrl-C reaches the whole terminal
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is not a reply
    num_gpus = _warm_up()
    groups: dict[str, Group] = {}
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _reply(replies, ready=True, gpus=num_gpus)
    with selectors.DefaultSelector() as ready:
        ready.register(0, selectors.EVENT_READ)
        ready.register(wake_read, selectors.EVENT_READ)
        rest = b""
        while True:
            for key, _ in ready.select():
                data = os.read(key.fd, 65536)
                if key.fd == 0:
                    if not data:
                        _kill(groups)
                        return
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        _obey(json.loads(line), groups, replies, (wake_read, wake_write))
            _reap(groups, replies)


def _warm_up() -> int:
    return int(importlib.import_module("services.trainer.launch.warm").warm_up())


def _obey(asked: dict[str, Any], groups: dict[str, Group], replies: Any, pipes: tuple[int, int]) -> None:
    if "kill" in asked:
        for pid in groups.get(asked["kill"], Group()).pids:
            os.kill(pid, int(asked["signal"]))
        return
    group = groups[asked["id"]] = Group()
    for rank in range(int(asked["ranks"])):
        group.pids.add(_fork(asked, rank, pipes, replies))
    _reply(replies, id=asked["id"], pids=sorted(group.pids))


def _fork(asked: dict[str, Any], rank: int, pipes: tuple[int, int], replies: Any) -> int:
    parent = os.getpid()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        die_with_parent(parent)
        signal.set_wakeup_fd(-1)
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(name, signal.SIG_DFL)
        for pipe in pipes:
            os.close(pipe)
        os.close(replies.fileno())
        _redirect(Path(asked["log"]))
        os.environ.update(asked["environment"], RANK=str(rank), LOCAL_RANK=str(rank))
        program: Callable[[dict[str, Any]], None] = importlib.import_module(PROGRAMS[asked["program"]]).main
        program(asked["arguments"])
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # not the warm parent's exit handlers


def _redirect(log: Path) -> None:
    """Standard input from nowhere, both outputs to the log."""
    source = os.open(os.devnull, os.O_RDONLY)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(source, 0)
    os.dup2(target, 1)
    os.dup2(target, 2)


def _reap(groups: dict[str, Group], replies: Any) -> None:
    """Collect what has ended. The first rank that fails takes the others with it."""
    while groups:
        try:
            pid, raw = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        name, group = next((name, group) for name, group in groups.items() if pid in group.pids)
        group.pids.discard(pid)
        group.status = group.status or os.waitstatus_to_exitcode(raw)
        if group.status:
            _kill({name: group})
        if not group.pids:
            _reply(replies, id=name, exit=group.status)
            del groups[name]


def _kill(groups: dict[str, Group]) -> None:
    for group in groups.values():
        for pid in group.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _reply(replies: Any, **message: Any) -> None:
    replies.write(json.dumps(message) + "\n")


if __name__ == "__main__":
    main()
