"""What vLLM says of its own queue: `vllm:num_requests_waiting` of its /metrics, read while there is traffic."""

import asyncio
import re

from shared.engine.exchange import Asked, Unreached, exchange, headers_of
from shared.engine.gate import Gate
from shared.engine.pool import PooledClient
from shared.errors import EngineReplyError
from shared.types import EngineSpec

EVERY_S, TIMEOUT_S = 1.0, 5.0
UNTOLD_EVERY_S = 30.0  # where the engine, or a router in front of it, does not say
METRIC = re.compile(
    rb"^vllm:num_requests_waiting(?:\{[^\n]*\})? (\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*$", re.MULTILINE
)


async def follow(http: PooledClient, spec: EngineSpec, gate: Gate) -> None:
    """Tell the gate about once a second, until no call is with the engine any more."""
    asked = Asked("GET", "/metrics", headers_of(spec))
    while gate.in_flight or gate.waiting:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                reply = await exchange(http, spec, asked)
        except (Unreached, EngineReplyError, TimeoutError):
            await asyncio.sleep(EVERY_S)  # what was told last holds
            continue
        waiting = read_waiting(reply.body) if reply.status == 200 else None
        gate.told_waiting(waiting)
        await asyncio.sleep(UNTOLD_EVERY_S if waiting is None else EVERY_S)


def read_waiting(metrics: bytes) -> float | None:
    """The sum over the engines of one server; None where the metric is not there."""
    found = [float(value) for value in METRIC.findall(metrics)]
    return sum(found) if found else None
