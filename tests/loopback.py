"""Free ports on loopback, and ASGI apps that listen there in a thread, for tests that speak real HTTP."""

import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from comd.stack.ports import is_taken


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ten_free_ports() -> int:
    """The first of ten in a row, below the range from which the kernel gives out ports of its own."""
    bases = [base for base in range(20000, 32000, 10) if not any(is_taken(base + n) for n in range(10))]
    return random.Random(os.getpid()).choice(bases)


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The app's URL while it is being served."""
    port = free_port()
    # not uvloop's: its objects are not for the garbage collector of another thread
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, ws="none", loop="asyncio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    ends = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < ends, "the app did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
