"""What `/metrics` says of engines, by role and engine host. The gauges read the gate when they are asked."""

from collections.abc import Callable
from functools import lru_cache
from urllib.parse import urlsplit

from prometheus_client import Counter, Gauge, Histogram

from shared.engine.gate import Gate
from shared.types import Usage

LABELS = ["role", "engine"]
SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)

calls = Counter("comd_engine_calls_total", "Calls to engines by outcome", [*LABELS, "outcome"])
call_seconds = Histogram(
    "comd_engine_call_seconds", "Duration of a call, without the wait in our line", LABELS, buckets=SECONDS
)
tokens = Counter("comd_engine_tokens_total", "Tokens as engines counted them", [*LABELS, "tokens"])
refused = Counter("comd_engine_busy_total", "Requests refused with role_busy", LABELS)
_limit = Gauge("comd_engine_limit", "Calls that the engine may have at once, as found", LABELS)
_in_flight = Gauge("comd_engine_in_flight", "Calls that are with the engine", LABELS)
_line = Gauge("comd_engine_line", "Calls that wait in our line for the engine", LABELS)
_waiting = Gauge("comd_engine_waiting", "Requests that wait in the engine, where it says so; else -1", LABELS)
_up = Gauge("comd_engine_up", "1 while the engine answers, 0 while it is down", LABELS)


@lru_cache(maxsize=256)
def host_of(url: str) -> str:
    """The engine's name in labels: host and port, never a path or a key."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def count_tokens(role: str, host: str, used: Usage) -> None:
    """A call's tokens: of the prompt, those of them that were cached, and of the completion."""
    tokens.labels(role, host, "prompt").inc(used.prompt_tokens)
    tokens.labels(role, host, "cached").inc(used.cached_tokens)
    tokens.labels(role, host, "completion").inc(used.completion_tokens)


def show(role: str, gate: Gate) -> None:
    """Let the gauges follow this gate."""
    read: dict[Gauge, Callable[[], float]] = {
        _limit: lambda: gate.limit.limit,
        _in_flight: lambda: gate.in_flight,
        _line: lambda: gate.waiting,
        _waiting: lambda: -1 if gate.engine_waiting is None else gate.engine_waiting,
        _up: lambda: gate.health.up,
    }
    refused.labels(role, host_of(gate.url))  # from 0, so that the first one is an increase
    for gauge, value in read.items():
        gauge.labels(role, host_of(gate.url)).set_function(value)
