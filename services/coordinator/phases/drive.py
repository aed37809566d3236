"""One run being driven: what the driver keeps in memory of it between two looks, and its progress.

Nothing here is needed after a restart; it is rebuilt from Postgres.
"""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

from services.coordinator.clients import Services
from services.coordinator.leadership import Leader
from services.coordinator.outgoing import Waiting
from services.coordinator.queue import Queue
from services.coordinator.repositories import runs
from services.coordinator.run_config import RunConfig
from services.coordinator.settings import CoordinatorSettings
from services.coordinator.states import Plan
from services.coordinator.trainer import Trainer
from shared.errors import ComdError
from shared.types import EngineSpec, JsonObject

LEASE_RENEWED_S = 5.0
RATE_WINDOW_S = 30.0
PROGRESS_S = 0.5
COUNTING_SHARE = 20  # counting may take a twentieth of the time


class Outcome(Enum):
    GOES_ON = "goes on"
    OVER = "over"
    EXHAUSTED = "exhausted"


class RunFailed(ComdError):
    """The run cannot go on; the message is shown as its error."""


NEVER_PUBLISHED = -1  # no generation of the queue


@dataclass
class Office:
    """What all runs of one leader share. `generation` counts the queues that were lost."""

    leader: Leader
    queue: Queue
    services: Services
    trainer: Trainer
    settings: CoordinatorSettings
    generation: int = 0


@dataclass
class Drive:
    """One run, as it was read at this look, with the memory of earlier looks."""

    office: Office
    run_id: str
    run: JsonObject = field(default_factory=dict)
    config: RunConfig = field(default_factory=RunConfig)
    published_generation: int = NEVER_PUBLISHED
    published_after: str = ""  # the last image published in this phase
    num_published: int = 0  # in this phase
    analyze_at: int = 0  # when so many are published, the planner's statistics are renewed
    curve_due: float = 0.0  # when the training's curve is looked at next
    curve_refused: bool = False
    students_done: int | None = None  # the iteration whose student answers are all there
    heldout_done: int | None = None  # the iteration whose held-out questions are all answered
    _retries: int = 0
    _count_pause: float = PROGRESS_S
    _count_s: float = 0.0  # that counting has taken since the progress was shown last
    _lease_seen: float = 0.0
    _counted: deque[tuple[float, int]] = field(default_factory=deque)
    _counted_phase: tuple[int, str] = (0, "")
    _shown: JsonObject = field(default_factory=dict)
    _shown_at: float = 0.0

    def take(self, run: JsonObject, iteration: JsonObject | None) -> None:
        """What the database says of the run just now. After a retry the student may be needed again."""
        self.run, self.config = run, RunConfig.model_validate(run["config"])
        retries = iteration["retries"] if iteration else 0
        if retries != self._retries:
            self.students_done, self.heldout_done, self._retries = None, None, retries

    @property
    def plan(self) -> Plan:
        config = self.config
        return Plan(
            has_pretraining=config.pretraining is not None,
            has_evaluation=config.evaluation is not None or bool(config.benchmarks),
            target=self.run["target"],
            repeats=config.augmentation.mode == "repeat",
            kind=self.run["kind"],
        )

    def engine(self, role: str) -> EngineSpec | None:
        spec = self.run["engines"].get(role)
        return None if spec is None else EngineSpec.model_validate(spec)

    @property
    def wants_counting(self) -> bool:
        """Whether it is time to look again how far the phase is."""
        return time.monotonic() - self._shown_at >= self._count_pause

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Around what is counted for a look: at the paper's size it is not done twice a second."""
        started = time.monotonic()
        yield
        self._count_s += time.monotonic() - started

    async def lease(self, checkpoint: str) -> None:
        """Hold the trainer's devices with the checkpoint loaded; Waiting until it is so."""
        if time.monotonic() - self._lease_seen < LEASE_RENEWED_S:
            return
        await self.note_lease(True)
        lease = await self.office.trainer.lease(self.run_id, checkpoint)
        if not (lease.held and lease.loaded):
            what = f"{checkpoint} is being loaded" if lease.held else "another run has the trainer"
            raise Waiting(f"waiting for the student: {what}", retry_after_s=0.3)
        self._lease_seen = time.monotonic()

    async def release(self) -> None:
        """Give the trainer's devices back, where they are ours."""
        if self.run["holds_lease"]:
            await self.office.trainer.release(self.run_id)
            self._lease_seen = 0.0
            await self.note_lease(False)

    async def note_lease(self, held: bool) -> None:
        """Written before the lease is asked for and after it is given back, so that none is forgotten."""
        if self.run["holds_lease"] != held:
            async with self.office.leader.transaction() as c:
                await runs.set_holds_lease(c, self.run_id, held)
            self.run["holds_lease"] = held

    async def show(
        self,
        iteration: JsonObject,
        done: int | None = None,
        total: int | None = None,
        *,
        waiting: str | None = None,
        unit: str = "instructions",
        time_left_s: float | None = None,
        rate: float | None = None,
        **more: float | int | str | None,
    ) -> None:
        """Publish the run's progress, where it has changed."""
        if rate is None and done is not None:
            rate = self._rate(iteration, done)
        if time_left_s is None and rate and done is not None and total is not None:
            time_left_s = round((total - done) / rate, 1)
        progress: JsonObject = {
            "iteration": iteration["number"],
            "phase": iteration["phase"],
            "done": done,
            "total": total,
            "unit": unit,
            "rate": None if rate is None else round(rate, 2),
            "time_left_s": time_left_s,
            "waiting": waiting,
            **more,
        }
        self._shown_at = time.monotonic()
        if self._count_s:
            self._count_pause, self._count_s = max(PROGRESS_S, COUNTING_SHARE * self._count_s), 0.0
        if progress != self._shown:
            async with self.office.leader.transaction() as c:
                await runs.set_progress(c, self.run_id, progress)
            self._shown = progress

    def forget_shown(self) -> None:
        """Another phase begins: its progress is counted at once."""
        self._shown, self._shown_at = {}, 0.0

    async def show_waiting(self, iteration: JsonObject, waiting: str) -> None:
        """The progress as it was shown last, with what is waited for."""
        last = self._shown if self._shown.get("phase") == iteration["phase"] else {}
        more = {name: last.get(name) for name in ("done", "total") if name in last}
        await self.show(iteration, waiting=waiting, **more)  # type: ignore[arg-type]

    def _rate(self, iteration: JsonObject, done: int) -> float | None:
        """Done per second over the last while; None until there are two counts."""
        phase = (iteration["number"], iteration["phase"])
        if phase != self._counted_phase:
            self._counted.clear()
            self._counted_phase = phase
        now = time.monotonic()
        self._counted.append((now, done))
        while now - self._counted[0][0] > RATE_WINDOW_S:
            self._counted.popleft()
        first_at, first_done = self._counted[0]
        return None if now - first_at < PROGRESS_S else (done - first_done) / (now - first_at)
