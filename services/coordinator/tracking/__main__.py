"""`python -m services.coordinator.tracking TRACKER`: one shipment from stdin to a tracker.

Out: a line, `sent` or the cause. What the library prints goes nowhere, so that no secret of it reaches a log.
"""

import importlib
import os
import signal
import sys
import threading

import orjson

from services.coordinator.tracking.trackers import ADAPTERS


def main() -> None:
    tracker = sys.argv[1]
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    _silence()
    shipment = orjson.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_go_with_the_coordinator, daemon=True).start()
    try:
        importlib.import_module(ADAPTERS[tracker]).send(shipment)
    except Exception as error:  # of any kind: it is the answer
        said = f"{type(error).__name__}: {error}"
    else:
        said = "sent"
    print(" ".join(said.split()), file=answer, flush=True)
    os._exit(0)  # without the library's own ends, which may wait for ever


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _go_with_the_coordinator() -> None:
    """Its end closes our input."""
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
