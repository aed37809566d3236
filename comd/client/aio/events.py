"""A run's server-sent events. In: a link and the route. Out: an iterator of RunEvent that outlives connections."""

import time
from collections.abc import AsyncIterator

import httpx
from pydantic import ValidationError

from comd.client.aio.link import AsyncLink
from comd.client.replies import not_ours
from services.coordinator.api.shapes import RunEvent
from shared.errors import EngineReplyError, EngineUnavailable

ENDS = {"finished", "exhausted", "cancelled", "failed"}
SILENCE_S = 30.0  # after which a connection counts as lost; the coordinator gives a sign of life every 10 s
PATIENCE_S = 60.0  # without a connection, once there was one
PAUSE_S = 0.5


async def follow(link: AsyncLink, path: str) -> AsyncIterator[RunEvent]:
    """Each event holds the whole state, so that after a lost connection the next one tells all."""
    reached: float | None = None
    last: RunEvent | None = None
    while True:
        try:
            async with link.stream("stream of events", path, timeout_s=SILENCE_S) as reply:
                if not reply.headers.get("content-type", "").startswith("text/event-stream"):
                    await reply.aread()
                    raise not_ours(link.service, reply, "expected a stream of events")
                async for line in _lines(reply):
                    reached = time.monotonic()
                    event = _event(line)
                    if event is None or event == last:
                        continue
                    yield (last := event)
                    if event.status in ENDS:
                        return
        except EngineUnavailable:
            if reached is None or time.monotonic() - reached > PATIENCE_S:
                raise
        await link.sleep(PAUSE_S)


async def _lines(reply: httpx.Response) -> AsyncIterator[bytes]:
    """By line feeds alone: httpx would also split at the other line ends that Unicode knows, inside of texts."""
    rest = b""
    async for part in reply.aiter_bytes():
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line


def _event(line: bytes) -> RunEvent | None:
    """None for what is no event's content: names, comments, empty lines."""
    name, _, value = line.partition(b":")
    if name != b"data":
        return None
    try:
        return RunEvent.model_validate_json(value)
    except ValidationError as error:
        said = error.errors()[0]["msg"]
        raise EngineReplyError(f"expected an event of a run, got {value[:200]!r}: {said}") from error
