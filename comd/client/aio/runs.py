"""`client.runs`: begin, steer and look at runs."""

import builtins
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal
from uuid import uuid4

from comd.client.aio.events import follow
from comd.client.aio.link import AsyncLink
from comd.client.aio.pages import rows
from comd.client.errors import StillRunning
from comd.client.service import at, given
from services.coordinator.api.instruction_shapes import HeldoutItem, HeldoutPage, Report
from services.coordinator.api.shapes import (
    Curve,
    CurvePoint,
    Failure,
    FailurePage,
    Flip,
    FlipPage,
    Iteration,
    IterationList,
    Log,
    LogEntry,
    Run,
    RunEvent,
    RunLine,
    RunList,
    UsageByIteration,
)
from services.coordinator.states import Phase
from shared.errors import EngineUnavailable, NotFound

UNCHANGED: Any = object()  # None has a meaning of its own: no limit
PATIENCE_S = 60.0  # a coordinator that restarts is waited for this long


class AsyncRuns:
    """`run_id` is a run's id (`run-...`); `find` gives it for a name."""

    def __init__(self, link: AsyncLink):
        self._link = link

    async def list(self) -> list[RunLine]:
        """All runs, the newest first; without usage, which `get` adds."""
        found = await self._link.get(RunList, at("runs"))
        return found.data

    async def find(self, name_or_id: str) -> Run:
        """The run of that id, else the newest of that name. NotFound where there is neither."""
        named = [run for run in await self.list() if name_or_id in {run.id, run.name}]
        if not named:
            raise NotFound(
                f"no run is called {name_or_id!r}",
                code="run_not_found",
                hint="`comd run list` shows those there are",
            )
        found = max(named, key=lambda run: (run.id == name_or_id, run.created_at))
        return await self.get(found.id)

    async def get(self, run_id: str) -> Run:
        """Where a run stands, and what it used. NotFound where there is none of that id."""
        return await self._link.get(Run, at("runs", run_id))

    async def create(self, name: str, dataset: str, config: Mapping[str, Any] | None = None) -> Run:
        """A run that is yet to start. `config` is what a TOML file in `configs/` holds; left out, the paper's.

        Unprocessable where a setting, the data set or an engine cannot be used; the message names it.
        """
        body = {"name": name, "dataset": dataset, "config": dict(config or {})}
        return await self._link.post(Run, at("runs"), body)

    async def start(self, run_id: str, count: int | None = None, idempotency_key: str | None = None) -> Run:
        """Add `count` trainings (default: the configuration's number) and start.

        The same `idempotency_key` again adds nothing. Without one each call has its own, so that a request that was
        lost on the way is safely sent again.
        """
        return await self._link.post(
            Run,
            at("runs", run_id, "iterations"),
            given(count=count),
            headers={"idempotency-key": idempotency_key or uuid4().hex},
            harmless=True,
        )

    async def pause(self, run_id: str) -> Run:
        """Begin no new call; what is in flight is waited for and kept. Conflict where the run does not run."""
        return await self._link.post(Run, at("runs", run_id, "pause"))

    async def resume(self, run_id: str) -> Run:
        """Go on where it was paused, or try again the step that failed."""
        return await self._link.post(Run, at("runs", run_id, "resume"))

    async def retry(self, run_id: str) -> Run:
        """Ask again what failed in the present phase; a run that was paused to ask about it goes on."""
        return await self._link.post(Run, at("runs", run_id, "retry"))

    async def cancel(self, run_id: str) -> Run:
        """End it for good; what was found so far stays readable."""
        return await self._link.post(Run, at("runs", run_id, "cancel"))

    async def change(
        self,
        run_id: str,
        endpoints: Mapping[str, Mapping[str, Any] | None] | None = None,
        prices: Mapping[str, Mapping[str, float] | None] | None = None,
        budget: float | None = UNCHANGED,
        restart_assessment: bool = False,
    ) -> Run:
        """Swap engines (`{"teacher": {"base_url": ..., "model": ...}}`; None: the role's own), prices, budget.

        Prices are of a million tokens (`{"teacher": {"prompt": 3.0, "completion": 15.0}}`; None: free). A budget is in
        the run's currency; None: no limit. Unprocessable where an engine cannot be used: nothing is changed then.
        """
        body = given(endpoints=endpoints, prices=prices, restart_assessment=restart_assessment or None)
        if budget is not UNCHANGED:
            body["budget"] = budget
        return await self._link.patch(Run, at("runs", run_id), body)

    async def branch(
        self, run_id: str, iteration: int, name: str, config: Mapping[str, Any] | None = None
    ) -> Run:
        """A new run that stands where this one stood right after the training of `iteration`.

        `config` holds the settings that differ. Nothing that was answered is asked again.
        """
        body = {"iteration": iteration, "name": name, "config": dict(config or {})}
        return await self._link.post(Run, at("runs", run_id, "branch"), body)

    async def wait(self, run_id: str, timeout_s: float | None = None, poll_s: float = 0.5) -> Run:
        """The run, once it ended, paused or failed; at once where it does not run.

        StillRunning after `timeout_s` seconds. A coordinator that restarts meanwhile is waited for a minute.
        """
        began, reached = time.monotonic(), float("-inf")
        while True:
            try:
                run = await self.get(run_id)
                reached = time.monotonic()
                if run.status != "running":
                    return run
            except EngineUnavailable:
                if time.monotonic() - reached > PATIENCE_S:
                    raise
            if timeout_s is not None and time.monotonic() - began > timeout_s:
                raise StillRunning(f"run {run_id} still runs after {timeout_s:g} s")
            await self._link.sleep(poll_s)

    async def iterations(self, run_id: str) -> builtins.list[Iteration]:
        """All iterations in order; number 0 is the measurement before the first training."""
        found = await self._link.get(IterationList, at("runs", run_id, "iterations"))
        return found.data

    async def iteration(self, run_id: str, number: int) -> Iteration:
        """One iteration. NotFound where the run has not come to it."""
        return await self._link.get(Iteration, at("runs", run_id, "iterations", number))

    async def curve(self, run_id: str, number: int) -> builtins.list[CurvePoint]:
        """An iteration's training, the oldest first: step, loss, learning rate; while it goes on, what is known."""
        found = await self._link.get(Curve, at("runs", run_id, "iterations", number, "curve"))
        return found.data

    def heldout(self, run_id: str, number: int) -> AsyncIterator[HeldoutItem]:
        """The held-out questions, with what the student answered after that training; none without an evaluation."""
        return rows(self._link, HeldoutPage, at("runs", run_id, "iterations", number, "heldout"))

    def flips(
        self,
        run_id: str,
        before: int,
        after: int,
        other: str | None = None,
        kind: Literal["learnt", "forgotten"] | None = None,
    ) -> AsyncIterator[Flip]:
        """Instructions that one assessment calls difficult and the other easy, in the order of their ids.

        `before` and `after` are iterations, `after` one of the run `other` where that is given. `learnt`: difficult
        before and easy after; `forgotten`: the other way round. NotFound where there is no such iteration.
        """
        pair = given(**{"from": before, "to": after, "other": other, "kind": kind})
        return rows(self._link, FlipPage, at("runs", run_id, "flips"), limit=200, **pair)

    async def report(self, run_id: str, examples: int = 6) -> Report:
        """All that a summary needs: iterations with histograms, and up to 100 examples with what the judge said."""
        return await self._link.get(Report, at("runs", run_id, "report"), examples=examples)

    async def usage(self, run_id: str) -> UsageByIteration:
        """Calls, tokens, seconds and cost: of the run and of each iteration, by role."""
        return await self._link.get(UsageByIteration, at("runs", run_id, "usage"))

    def log(self, run_id: str) -> AsyncIterator[LogEntry]:
        """Every change of the run's state, the oldest first."""
        return rows(self._link, Log, at("runs", run_id, "log"), cursor="after")

    def failures(
        self, run_id: str, iteration: int | None = None, phase: Phase | None = None
    ) -> AsyncIterator[Failure]:
        """What could not be done and why, by iteration, phase and picture."""
        only = given(iteration=iteration, phase=phase)
        return rows(self._link, FailurePage, at("runs", run_id, "failures"), **only)

    def events(self, run_id: str) -> AsyncIterator[RunEvent]:
        """Where the run stands, whenever that changes, until it has ended; a lost connection is made again.

        A paused run has not ended: the iterator waits for what comes.
        """
        return follow(self._link, at("runs", run_id, "events"))
