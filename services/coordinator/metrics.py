"""What the coordinator's `/metrics` says of all runs: looked up in Postgres and Redis whenever somebody asks.

So it is right with any number of workers and coordinators. In: both stores. Out: Prometheus's text.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from prometheus_client import Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.coordinator.database import Reader
from services.coordinator.queue import Queue
from services.coordinator.repositories import overview
from services.coordinator.states import TASKED

TIMEOUT_S = 5.0

leading = Gauge("comd_leader", "1 while this coordinator leads")
commit_units = Histogram(
    "comd_commit_units",
    "Units of one group commit of this worker",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
commit_seconds = Histogram(
    "comd_commit_seconds",
    "One group commit of this worker, the waits for a lost database included",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60),
)


class _Found(Collector):
    def __init__(self, families: Iterable[Metric]):
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def look_up(engine: AsyncEngine, queue: Queue) -> Callable[[], Awaitable[bytes]]:
    """For the frame's `/metrics`. A store that is away is a metric, never a failure."""

    async def look() -> bytes:
        found = await asyncio.gather(_of_database(engine), _of_redis(queue))
        return generate_latest(_Found([family for families in found for family in families]))

    return look


async def _of_database(engine: AsyncEngine) -> list[Metric]:
    up = GaugeMetricFamily("comd_database_up", "1 where Postgres answers", 1)
    try:
        async with asyncio.timeout(TIMEOUT_S), Reader(engine).connect() as c:
            return [up, *await _of_runs(c), *await _of_work(c)]
    except (SQLAlchemyError, TimeoutError):
        return [GaugeMetricFamily("comd_database_up", "1 where Postgres answers", 0)]


async def _of_runs(c: AsyncConnection) -> list[Metric]:
    runs = GaugeMetricFamily("comd_runs", "Runs by status", labels=["status"])
    for row in await overview.run_counts(c):
        runs.add_metric([row["status"]], row["number"])
    labels = ["run", "iteration", "phase"]
    phase = GaugeMetricFamily("comd_run_phase", "1 for where each running run stands", labels=labels)
    done = GaugeMetricFamily("comd_run_phase_done", "What is done of a running run's phase", labels=["run"])
    total = GaugeMetricFamily("comd_run_phase_total", "What a running run's phase has to do", labels=["run"])
    for row in await overview.running(c):
        phase.add_metric([row["id"], str(row["number"]), row["phase"]], 1)
        done.add_metric([row["id"]], row["progress"].get("done") or 0)
        total.add_metric([row["id"]], row["progress"].get("total") or 0)
    epoch = GaugeMetricFamily(
        "comd_leader_epoch", "How often a coordinator began to lead", await overview.leader_epoch(c)
    )
    return [runs, phase, done, total, epoch]


async def _of_work(c: AsyncConnection) -> list[Metric]:
    tasks = GaugeMetricFamily("comd_tasks", "Tasks of the phases that go on", labels=["phase", "state"])
    for row in await overview.task_counts(c):
        tasks.add_metric([row["phase"], row["state"]], row["number"])
    failures = CounterMetricFamily("comd_failures", "What could not be done, by phase", labels=["phase"])
    failed = {row["phase"]: row["number"] for row in await overview.failure_counts(c)}
    for phase in sorted(TASKED):  # from 0, so that the first one is an increase
        failures.add_metric([phase], failed.get(phase, 0))
    items = CounterMetricFamily("comd_items", "Instructions and parents asked for, by role", labels=["role"])
    calls = CounterMetricFamily("comd_role_calls", "Calls to engines for all runs, by role", labels=["role"])
    seconds = CounterMetricFamily(
        "comd_role_seconds", "Seconds that calls were with engines, by role", labels=["role"]
    )
    tokens = CounterMetricFamily(
        "comd_role_tokens", "Tokens for all runs, by role", labels=["role", "tokens"]
    )
    for row in await overview.usage_by_role(c):
        items.add_metric([row["role"]], row["items"])
        calls.add_metric([row["role"]], row["calls"])
        seconds.add_metric([row["role"]], row["seconds"])
        for kind in ("prompt", "completion"):
            tokens.add_metric([row["role"], kind], row[f"{kind}_tokens"])
    return [tasks, failures, items, calls, seconds, tokens]


async def _of_redis(queue: Queue) -> list[Metric]:
    up = GaugeMetricFamily("comd_redis_up", "1 where Redis answers", 1)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            length, pending = await queue.lengths()
    except (RedisError, OSError, TimeoutError):
        return [GaugeMetricFamily("comd_redis_up", "1 where Redis answers", 0)]
    return [
        up,
        GaugeMetricFamily("comd_queue_messages", "Messages in the queue, delivered ones included", length),
        GaugeMetricFamily("comd_queue_pending", "Messages that a worker has and has not finished", pending),
    ]
