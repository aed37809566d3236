"""How an engine is just now, asked once and never repeated. In: an EngineSpec and its gate. Out: an EngineState."""

import asyncio

from shared.engine.client import MODELS, unreachable
from shared.engine.exchange import Asked, RawReply, Unreached, exchange, headers_of
from shared.engine.gate import Gate
from shared.engine.pool import PooledClient
from shared.engine.replies import json_object, refusal
from shared.engine.waiting import read_waiting
from shared.errors import ComdError, EngineReplyError
from shared.types import EngineSpec, EngineState

TIMEOUT_S = 5.0


async def state_of(http: PooledClient, spec: EngineSpec, gate: Gate) -> EngineState:
    """What is wrong with it stands in `problem`; nothing is raised."""
    said = spec.model_dump(include={"base_url", "model", "revision", "kind"})
    line = {"in_flight": gate.in_flight, "line": gate.waiting}
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reply = await exchange(http, spec, Asked("GET", MODELS, headers_of(spec)))
            problem = _problem(spec, reply)
            waiting = await _waiting(http, spec)
    except TimeoutError:
        return EngineState(**said, **line, problem=f"{spec.base_url} gives no answer within {TIMEOUT_S:g} s")
    except Unreached as error:
        return EngineState(**said, **line, problem=unreachable(spec, error).message)
    except ComdError as error:
        return EngineState(**said, **line, problem=error.message)
    return EngineState(
        **said, **line, problem=problem, latency_ms=round(1000 * reply.seconds, 1), waiting=waiting
    )


def _problem(spec: EngineSpec, reply: RawReply) -> str | None:
    """What the list of models says against the engine."""
    status, read = json_object(spec, reply)
    if status != 200:
        return refusal(spec, reply, status).message
    cards = read.get("data")
    if not isinstance(cards, list):
        return f"{spec.base_url}: expected a list of models, got {reply.start()[:200]}"
    listed = sorted(str(card.get("id")) for card in cards if isinstance(card, dict))
    if spec.model in listed:
        return None
    return (
        f"model {spec.model!r} is not listed by {spec.base_url}; it has {', '.join(listed)[:300] or 'none'}"
    )


async def _waiting(http: PooledClient, spec: EngineSpec) -> int | None:
    """vLLM's own count; None for other engines, and where it does not say."""
    if spec.kind != "vllm":
        return None
    try:
        reply = await exchange(http, spec, Asked("GET", "/metrics", headers_of(spec)))
    except (Unreached, EngineReplyError):
        return None
    told = read_waiting(reply.body) if reply.status == 200 else None
    return None if told is None else round(told)
