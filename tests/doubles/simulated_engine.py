"""An engine in virtual time: slots, a FIFO queue beyond them, latencies drawn anew for each call.

In: slots over time, a latency law, and a Limit that is always fully used. Out: throughput and waiting over time.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from shared.engine.limit import Limit

Seconds = Callable[[random.Random, int], float]  # of one call, by chance and the number of calls running


@dataclass
class Seen:
    """At each call's end: the time, the calls running and waiting in the engine, and the limit."""

    ended: list[float] = field(default_factory=list)
    running: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    limit: list[int] = field(default_factory=list)

    def mean(self, name: str, since: float, until: float) -> float:
        """The mean over time of `running`, `waiting` or `limit`."""
        values, total = getattr(self, name), 0.0
        for at in range(1, len(self.ended)):
            if since <= self.ended[at] < until:
                total += values[at] * (self.ended[at] - self.ended[at - 1])
        return total / (until - since)

    def rate(self, since: float, until: float) -> float:
        """Calls a second."""
        return sum(since <= at < until for at in self.ended) / (until - since)


def simulate(
    limit: Limit,
    slots: Callable[[float], int],
    seconds: Seconds,
    until: float,
    seed: int,
    *,
    tells_waiting: bool = False,
) -> Seen:
    """Run until the given time; `tells_waiting` reads the queue's length to the limit once a second."""
    chance, seen = random.Random(seed), Seen()
    running: list[tuple[float, float]] = []  # (ends, began to wait)
    queue: deque[float] = deque()
    now, told = 0.0, 0.0
    while now < until:
        while len(running) + len(queue) < limit.limit:
            queue.append(now)
        while queue and len(running) < slots(now):
            began = queue.popleft()
            heapq.heappush(running, (now + seconds(chance, len(running) + 1), began))
        in_flight = len(running) + len(queue)
        if tells_waiting and now >= told:
            told = now + 1.0
            limit.waiting(len(queue), in_flight)
        seen.running.append(len(running))
        seen.waiting.append(len(queue))
        seen.limit.append(limit.limit)
        now, began = heapq.heappop(running)
        limit.finished(now - began, in_flight)
        seen.ended.append(now)
    return seen


def log_normal(median: float, sigma: float) -> Seconds:
    """A heavy-tailed latency that does not depend on the load."""
    return lambda chance, running: chance.lognormvariate(0.0, sigma) * median
