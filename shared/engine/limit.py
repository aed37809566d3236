"""How many calls an engine gets at once, found from how long they take.

In: each finished call's seconds, each refusal, the engine's own count of waiting requests where it has one.
Out: `limit`. No clock and no I/O: a round is a number of finished calls.

An engine that queues beyond its slots never refuses, so latency is all it tells. Below the slots, latency does not
depend on the limit; beyond them it grows in proportion. Each round compares the typical latency with that of a
recent round at about half the limit or less (the base), and aims at `HEADROOM` times it: a small standing queue, so
that no slot is ever idle. The comparison is with half the limit, not with the fastest call ever seen, because
engines that batch slow down smoothly while their throughput still rises. Where no recent round was that low, one
is made: a probe. The typical latency is the geometric mean: latencies are heavy-tailed, and a wait that all calls
share moves it more than it moves the mean.
"""

import math
from collections import deque
from dataclasses import dataclass, field

FIRST = 8.0
LOWEST, HIGHEST = 1.0, 1024.0
HEADROOM = 1.5  # typical latency over base
DOUBT = 2.0  # standard errors of the base, for which there is more headroom
GROWTH = 1.6  # at most, in a round
SMALLEST = 4.0  # latency alone never cuts below this: so short a queue harms nobody
BASE_SHARE = 0.63  # a round counts as a base up to this share of the limit
PROBE_SHARE = 0.55
PROBE_CALLS = 64  # at least; else as many as the limit
FEWEST, MOST = 16, 128  # calls in any other round; in between, as many as the limit
FIRST_ROUNDS = 2  # there is nothing to compare with yet
BASE_KEPT = 40  # times as many calls as it was measured with
BASE_CALLS = 64  # rounds are joined to a base until they have so many
BINDING = 0.75  # below this share of the limit, calls are too few to tell anything of the limit
HISTORY = 128  # rounds
REFUSED_SHARE, CAREFUL_GROWTH, CAREFUL_CALLS = 0.75, 1.05, 2000
WAITING_SHARE, WAITING_LEAST, WAITING_GROWTH, WAITING_CUT = 0.1, 2.0, 1.25, 0.7


@dataclass(slots=True)
class Round:
    """The calls of one round: sums over their logarithms and over the calls in flight beside them."""

    calls: int = 0
    log_sum: float = 0.0
    log_squares: float = 0.0
    in_flight_sum: int = 0
    at: int = 0  # calls finished in all, when it ended

    def add(self, seconds: float, in_flight: int) -> None:
        log_seconds = math.log(max(seconds, 1e-6))
        self.calls += 1
        self.log_sum += log_seconds
        self.log_squares += log_seconds * log_seconds
        self.in_flight_sum += in_flight

    @property
    def in_flight(self) -> float:
        return self.in_flight_sum / self.calls

    @property
    def log_mean(self) -> float:
        return self.log_sum / self.calls

    @property
    def log_error(self) -> float:
        """The standard error of `log_mean`."""
        variance = self.log_squares / self.calls - self.log_mean**2
        return math.sqrt(max(variance, 0.0) / self.calls)

    @property
    def kept_calls(self) -> float:
        """For how many calls it may be a base; less where it rests on few."""
        return BASE_KEPT * self.calls * min(1.0, self.calls / BASE_CALLS)

    def join(self, other: "Round") -> None:
        self.calls += other.calls
        self.log_sum += other.log_sum
        self.log_squares += other.log_squares


@dataclass(slots=True)
class Limit:
    """The state of one engine's limit."""

    _limit: float = FIRST
    _probing: bool = False
    _direct: bool = False  # the engine itself says how many wait
    _calls: int = 0
    _careful_until: int = 0
    _settling: int = 0  # calls that began under another limit and tell nothing of this one
    _round: Round = field(default_factory=Round)
    _history: deque[Round] = field(default_factory=lambda: deque(maxlen=HISTORY))

    @property
    def limit(self) -> int:
        """The number of calls that may be in flight now."""
        return max(1, round(self._limit * PROBE_SHARE if self._probing else self._limit))

    def finished(self, seconds: float, in_flight: int) -> None:
        """A call took so many seconds; `in_flight` counts it and those beside it."""
        self._calls += 1
        if self._settling > 0:
            self._settling -= 1
            return
        if self._direct:
            return
        self._round.add(seconds, in_flight)
        if self._round.calls >= self._round_calls():
            self._end_round(in_flight)

    def refused(self, in_flight: int) -> None:
        """The engine refused a call, or was too slow; those in flight beside it count with it, as one."""
        if self._settling > 0 and self._calls < self._careful_until:
            self._settling -= 1
            return
        self._careful_until = self._calls + CAREFUL_CALLS
        self._probing = False
        self._set(self._limit * REFUSED_SHARE, in_flight)

    def waiting(self, waiting: float, in_flight: int) -> None:
        """The engine says how many requests wait in it: the limit follows that, latency is not looked at."""
        self._direct, self._probing = True, False
        allowed = max(WAITING_LEAST, WAITING_SHARE * self._limit)
        if waiting > allowed:
            running = in_flight - waiting  # others may ask the same engine: never all the way in one step
            self._set(min(self._limit, max(running + allowed, self._limit * WAITING_CUT)), in_flight)
        elif waiting < WAITING_LEAST and in_flight >= BINDING * self._limit:
            self._set(self._limit * self._growth(WAITING_GROWTH), in_flight)

    def waiting_unknown(self) -> None:
        """The engine does not say any more; back to latency."""
        self._direct = False

    def _round_calls(self) -> float:
        return max(PROBE_CALLS, self.limit) if self._probing else min(max(self._limit, FEWEST), MOST)

    def _end_round(self, in_flight: int) -> None:
        measured = self._round
        measured.at = self._calls
        self._history.append(measured)
        if self._probing:
            self._probing = False
            self._set(self._limit, in_flight)
        elif measured.in_flight < BINDING * self._limit:
            self._set(self._limit, 0)
        else:
            self._adjust(measured, in_flight)

    def _adjust(self, measured: Round, in_flight: int) -> None:
        base = self._base()
        if base is None and len(self._history) > FIRST_ROUNDS:
            self._probing = True
            self._set(self._limit, in_flight)
            return
        wanted = GROWTH if base is None else _wanted(base, measured)
        # Down by the root: near its slots an engine's typical latency rises faster than the limit does.
        cut = max(self._limit * math.sqrt(wanted), min(self._limit, SMALLEST))
        self._set(self._limit * self._growth(wanted) if wanted > 1 else cut, in_flight)

    def _base(self) -> Round | None:
        """The newest rounds at so few calls in flight that what waited then cannot be what waits now."""
        base = Round()
        for one in reversed(self._history):
            if one.in_flight <= BASE_SHARE * self._limit and self._calls - one.at <= one.kept_calls:
                base.join(one)
                if base.calls >= BASE_CALLS:
                    break
        return base if base.calls else None

    def _growth(self, wanted: float) -> float:
        return min(wanted, CAREFUL_GROWTH if self._calls < self._careful_until else GROWTH)

    def _set(self, limit: float, in_flight: int) -> None:
        """A new limit; what is in flight began under the old one."""
        self._limit = min(max(limit, LOWEST), HIGHEST)
        self._settling, self._round = in_flight, Round()


def _wanted(base: Round, measured: Round) -> float:
    """By what factor the limit should change."""
    return HEADROOM * math.exp(DOUBT * base.log_error + base.log_mean - measured.log_mean)
