"""One run under way, watched: what dies is started again, and every disturbance is written down.

In: a site and acts. An act is a generator that disturbs the scene and yields wherever it waits; all acts take turns
in one thread, because the kernel ends a child with the thread that started it. Out: a Played.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from comd.stack.children import Child
from tests.chaos.content import Digests, check_usage, digests
from tests.chaos.ledger import Ledger, Strike
from tests.chaos.site import Site
from tests.doubles.lab import ROLES, Deployment
from tests.loopback import free_port

CLOCK, ROOT = Path(__file__).parent / "clock", Path(__file__).parents[2]
TURN_S = 0.02
OVER = ("finished", "exhausted", "failed", "cancelled", "paused")
WHERE = """
    SELECT r.status, i.number, i.phase FROM runs r
    LEFT JOIN iterations i ON i.run_id = r.id ORDER BY i.number DESC NULLS LAST LIMIT 1
"""
SETTINGS: dict[str, Any] = {
    "lease_s": 2,
    "concurrency": 4,
    "published_at_once": 24,
    "tick_s": 0.05,
    "timeout_s": 20,
}

Act = Callable[["Scene"], Iterator[None]]


@dataclass(frozen=True)
class Played:
    """A run that has ended: what it left, what was done to it, and what the engine counted."""

    database_url: str
    status: str
    seconds: float
    content: Digests
    strikes: list[Strike]
    unfinished: list[str]
    calls: dict[str, Any]
    in_flight_at_end: int
    cost_of_a_fault: dict[str, int]

    @property
    def num_distinct(self) -> int:
        return int(self.calls["total"]) - int(self.calls["repeated"])

    def in_flight(self, reference: "Played") -> int:
        """At the disturbances, and with the requests that met a fault which the reference did not meet."""
        faults, known = self.calls["faults_by_role"], reference.calls["faults_by_role"]
        struck = {role: num - known.get(role, 0) for role, num in faults.items()}
        return sum(strike.in_flight for strike in self.strikes) + sum(
            num * self.cost_of_a_fault[role] for role, num in struck.items()
        )


class Scene:
    """A deployment on a fresh database. `expected` is the number of distinct calls of the undisturbed run."""

    def __init__(self, site: Site, name: str, rng: Random, *, expected: int = 0, **settings: Any):
        self.site, self.rng, self.expected = site, rng, expected
        self.settings = {**SETTINGS, **settings}
        url = site.database(name)
        self.deployment = Deployment(site.lab, name, url, site.redis_url, self.settings)
        services = [site.lab.url(role) for role in ROLES]
        self.ledger = Ledger(site.lab.url("engine"), services, url)
        self.coordinators: list[Child] = []
        self.workers: list[Child] = []
        self.held_down: set[int] = set()  # by id(): children that are dead on purpose
        self.strikes: list[Strike] = []
        self.status, self.phase = "created", ""
        self.num_distinct = 0
        self._began = time.monotonic()

    def start(self, num_workers: int, num_coordinators: int = 1, clocks_off_s: Sequence[float] = ()) -> None:
        """The processes; `clocks_off_s` are those of the first workers, which have the wrong time of day."""
        for number in range(num_workers):
            off = clocks_off_s[number : number + 1]
            self.workers.append(self.deployment.start_worker(**(_clock(off[0]) if off else {})))
        ports = [None, *(free_port() for _ in range(1, num_coordinators))]
        self.coordinators = [self.deployment.start_coordinator(port) for port in ports]

    def play(self, acts: Sequence[Act], patience_s: float = 300.0) -> Played:
        """Until the run has ended; acts that have not are named."""
        playing = {act: act(self) for act in acts}
        self._began = time.monotonic()
        ended = self._began + patience_s
        while self.status not in OVER:
            assert time.monotonic() < ended, (
                f"the run did not end in {patience_s} s: {self.status}, {self.phase}"
            )
            self.watch()
            self.look()
            for act in list(playing):
                if next(playing[act], self) is self:
                    del playing[act]
            time.sleep(TURN_S)
        seconds = time.monotonic() - self._began
        for rest in playing.values():
            rest.close()  # type: ignore[attr-defined]
        return self._ended(seconds, [getattr(act, "__name__", str(act)) for act in playing])

    def stop(self) -> None:
        """End the deployment's processes; the site stays."""
        for child in (*self.workers, *self.coordinators):
            with suppress(ProcessLookupError):
                if child.process is not None:
                    child.process.send_signal(signal.SIGCONT)
            child.ask_to_stop()
        for child in (*self.workers, *self.coordinators):
            child.wait_or_kill()
            self.site.lab.children.remove(child)
        self.ledger.close()

    def watch(self) -> None:
        """Start again what is dead and not so on purpose."""
        for child in self.children:
            if child.exit_status is not None and id(child) not in self.held_down:
                child.start()

    def look(self) -> None:
        """What can be seen of the run just now."""
        self.num_distinct = self.ledger.num_distinct()
        if (row := self.ledger.ask(WHERE)) is not None:
            self.status, self.phase = row[0], f"{row[1]} {row[2]}"

    @property
    def children(self) -> list[Child]:
        return [*self.coordinators, *self.workers, self.site.postgres, self.site.redis, self.site.trainer]

    def hold_down(self, child: Child) -> None:
        """It stays dead until `let_up`."""
        self.held_down.add(id(child))

    def let_up(self, child: Child) -> None:
        self.held_down.discard(id(child))

    def begin_strike(self, kind: str) -> Strike:
        """Call it before the disturbance."""
        at_s = round(time.monotonic() - self._began, 2)
        strike = Strike(kind, at_s, self.phase, self.ledger.kept())
        self.strikes.append(strike)
        return strike

    def end_strike(self, strike: Strike) -> None:
        """Call it when the disturbance is over: right after a kill, or when a server answers again."""
        strike.in_flight = self.ledger.in_flight(strike.kept)

    def wait(self, seconds: float) -> Iterator[None]:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            yield

    def wait_until(self, found: Callable[[], Any]) -> Iterator[None]:
        while not found():
            yield

    def random_shares(self, num: int, first: float = 0.03, last: float = 0.95) -> list[float]:
        """Points of the run's progress, evenly drawn and in order."""
        return sorted(self.rng.uniform(first, last) for _ in range(num))

    def until_share(self, share: float) -> Iterator[None]:
        """Until so much of the undisturbed run's calls have been made."""
        yield from self.wait_until(lambda: self.num_distinct >= share * self.expected)

    def _ended(self, seconds: float, unfinished: list[str]) -> Played:
        self.site.lab.set_faults([])
        content = digests(self.deployment.database_url)
        check_usage(self.deployment.database_url)
        left = self.ledger.in_flight(self.ledger.kept())
        calls = self.ledger.calls()
        cost = self.ledger.cost_of_a_fault()
        url = self.deployment.database_url
        return Played(url, self.status, seconds, content, self.strikes, unfinished, calls, left, cost)


def _clock(off_s: float) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(CLOCK), str(ROOT)]), "COMD_CLOCK_OFF_S": str(off_s)}
