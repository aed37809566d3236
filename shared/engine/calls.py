"""The calls of one role service to its engines: each through its engine's gate, counted and timed.

In: an EngineSpec and a chat request. Out: the reply and the engine's seconds, or the error.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, contextmanager
from typing import NamedTuple

from shared import request_ids
from shared.engine import metrics
from shared.engine.client import Notice, Notices, is_well, timed_chat
from shared.engine.gate import Gate
from shared.engine.pool import PooledClient
from shared.engine.streaming import stream
from shared.engine.waiting import follow
from shared.errors import ComdError, RoleBusy
from shared.types import EngineSpec, JsonObject
from shared.usage import usage_of


class Answered(NamedTuple):
    """`seconds` were spent with the engine, none in our line."""

    reply: JsonObject
    seconds: float


class EngineCalls:
    """The life of a role service's gates, one for each engine, model and key."""

    def __init__(self, role: str, http: PooledClient):
        self.role, self.http = role, http
        self._gates: dict[tuple[str, str, str | None], Gate] = {}
        self._following: dict[Gate, asyncio.Task[None]] = {}

    def gate(self, spec: EngineSpec) -> Gate:
        """The engine's gate, made when it is first asked for."""
        key = (spec.base_url, spec.model, spec.key_name)
        if key not in self._gates:
            gate = Gate(spec.base_url, lambda: is_well(self.http, spec))
            metrics.show(self.role, gate)
            self._gates[key] = gate
        return self._gates[key]

    @contextmanager
    def admitted(self, spec: EngineSpec) -> Generator[None]:
        """A request as a whole: taken, or RoleBusy before any of it is done."""
        try:
            with self.gate(spec).admitted():
                yield
        except RoleBusy:
            metrics.refused.labels(self.role, metrics.host_of(spec.base_url)).inc()
            raise

    async def chat(self, spec: EngineSpec, body: JsonObject, on_away: Notice = lambda: None) -> Answered:
        """One whole chat completion; `on_away` is called at once where a try finds the engine gone or unable."""
        gate = self.gate(spec)
        try:
            async with gate.place():
                self._follow(spec, gate)
                answered = await self._asked(gate, spec, body, Notices(gate.refused, on_away))
        except ComdError as error:
            self._count(spec, error.code)
            raise
        self._count(spec, "ok", answered.seconds)
        metrics.count_tokens(self.role, metrics.host_of(spec.base_url), usage_of(answered.reply))
        return answered

    async def stream(self, spec: EngineSpec, body: JsonObject) -> AsyncGenerator[bytes]:
        """A streamed chat completion; its place is free when the generator is closed."""
        gate, outcome = self.gate(spec), "left"
        try:
            async with gate.place(), aclosing(stream(self.http, spec, body)) as pieces:
                self._follow(spec, gate)
                started = time.perf_counter()
                try:
                    async for piece in pieces:
                        yield piece
                except ComdError as error:
                    gate.failed(error)
                    raise
                gate.answered(time.perf_counter() - started)
            outcome = "ok"
        except ComdError as error:
            outcome = error.code
            raise
        finally:
            self._count(spec, outcome)

    async def close(self) -> None:
        """End what runs beside the calls."""
        for following in self._following.values():
            following.cancel()
        await self.http.aclose()

    async def _asked(self, gate: Gate, spec: EngineSpec, body: JsonObject, notices: Notices) -> Answered:
        """The call, now that it has its place; the gate learns how it went."""
        try:
            answered = Answered(*await timed_chat(self.http, spec, body, notices))
        except ComdError as error:
            gate.failed(error)
            raise
        gate.answered(answered.seconds)
        return answered

    def _follow(self, spec: EngineSpec, gate: Gate) -> None:
        """vLLM says itself how many requests wait; while there are calls, it is asked."""
        if spec.kind == "vllm" and (gate not in self._following or self._following[gate].done()):
            following = follow(self.http, spec, gate)
            self._following[gate] = asyncio.create_task(following, context=request_ids.nobodys())

    def _count(self, spec: EngineSpec, outcome: str, seconds: float | None = None) -> None:
        host = metrics.host_of(spec.base_url)
        metrics.calls.labels(self.role, host, outcome).inc()
        if seconds is not None:
            metrics.call_seconds.labels(self.role, host).observe(seconds)
