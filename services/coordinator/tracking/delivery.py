"""A shipment handed to a tracker's library in a process of its own. In: both. Out: nothing, or DeliveryFailed.

The libraries start threads and processes, print, and wait for servers as long as they please; here they can be ended.
The process sees its input closed when we die, and goes with us.
"""

import asyncio
import contextlib
import os
import signal
import sys

import orjson

from services.coordinator.tracking.trackers import Shipment
from shared.errors import ComdError

LONGEST_S = 120.0
OURS = ("COMD_", "DATABASE_URL", "REDIS_URL")  # nothing that a tracker should see
LONGEST_CAUSE = 300


class DeliveryFailed(ComdError):
    """The tracker did not take it; the message is the cause."""


async def deliver(tracker: str, shipment: Shipment, longest_s: float = LONGEST_S) -> None:
    """DeliveryFailed where it raised, ended, or took too long."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.coordinator.tracking", tracker),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=_environment(),
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(longest_s):
            answer = await _ask(process, shipment)
    except TimeoutError as error:
        raise DeliveryFailed(f"{tracker} did not answer within {longest_s:g} s") from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with what the library started
        await process.wait()
    if answer != b"sent":
        said = answer.decode(errors="replace") or "the process that talks to it ended without a word"
        raise DeliveryFailed(f"{tracker}: {said[:LONGEST_CAUSE]}")


async def _ask(process: asyncio.subprocess.Process, shipment: Shipment) -> bytes:
    """What it says at its end. Its input stays open: it takes the end of it for ours."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(ConnectionError):
        process.stdin.write(orjson.dumps(shipment, option=orjson.OPT_APPEND_NEWLINE))
        await process.stdin.drain()
    return (await process.stdout.readline()).strip()


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**kept, "PYTHONWARNINGS": "ignore"}
