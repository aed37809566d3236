"""Tasks under any order of events: each result is written once, by whoever owns the task, and no task is lost.

A Hypothesis state machine over the real queries and the real committer, beside a model in memory.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.coordinator.committer import ClaimLost, Committer
from services.coordinator.database import connect
from services.coordinator.repositories import datasets, planning, runs, tasks, work
from services.coordinator.repositories.rows import execute, fetch, insert, scalar
from services.coordinator.repositories.tasks import Claim, Held, TaskKey
from services.coordinator.run_config import RunConfig
from tests.integration.builders import NOW, instruction

IMAGES = ("a", "b", "c")
PER_IMAGE = 2
ERRORS_ALLOWED = 3
PHASE = "teaching"

indices = st.integers(0, len(IMAGES) - 1)
numbers = itertools.count(1)


@dataclass
class Expected:
    """What the model knows of one task."""

    state: str = "todo"
    attempt: int = 0
    errors: int = 0
    expired: bool = False

    @property
    def is_free(self) -> bool:
        return self.state in {"todo", "published"} or (self.state == "leased" and self.expired)


@dataclass
class World:
    """One server with its loop, for all examples."""

    runner: asyncio.Runner
    engine: AsyncEngine
    committer: Committer
    owners: Iterator[int] = field(default_factory=itertools.count)

    def transact(self, action: Callable[[AsyncConnection], Coroutine[Any, Any, Any]]) -> Any:
        async def run() -> Any:
            async with self.engine.begin() as c:
                return await action(c)

        return self.runner.run(run())


class TaskMachine(RuleBasedStateMachine):
    world: World
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.run_id = f"run-{next(numbers)}"
        self.tasks = {TaskKey(self.run_id, 1, PHASE, image): Expected() for image in IMAGES}
        self.keys = list(self.tasks)
        self.bound: dict[int, str] = {}  # request hash by instruction
        self.num_calls = itertools.count(1)
        self.calls_made = 0
        self.is_running = True

    @initialize()
    def plan(self) -> None:
        async def make(c: AsyncConnection) -> int:
            await runs.create(c, self.run_id, "run", "set", RunConfig().model_dump(), {})
            await execute(c, "UPDATE runs SET status = 'running' WHERE id = :id", id=self.run_id)
            iteration = {"run_id": self.run_id, "number": 1, "phase": PHASE, "seconds": {}, **NOW}
            await insert(c, "iterations", [iteration])
            await insert(
                c,
                "instructions",
                [
                    {**instruction(PER_IMAGE * index + n, image), "run_id": self.run_id}
                    for index, image in enumerate(IMAGES)
                    for n in range(PER_IMAGE)
                ],
            )
            return await planning.plan(c, self.run_id, 1, PHASE, work.LACKING[PHASE])

        assert self.world.transact(make) == len(IMAGES)

    @rule(bound=st.integers(1, 3), again=st.booleans())
    def publish(self, bound: int, again: bool) -> None:
        """Where the queue was lost, what was published is published again."""
        keys = self.world.transact(lambda c: planning.publish(c, self.run_id, 1, PHASE, bound, again=again))
        for one in self.tasks.values():
            if again and one.state == "published":
                one.state = "todo"
        for key in keys:
            assert self.tasks[key].state == "todo" or self.tasks[key].expired
            self.tasks[key].state, self.tasks[key].expired = "published", False

    @rule(target=claims, wanted=st.lists(indices, min_size=1, max_size=4))
    def deliver(self, wanted: list[int]) -> Any:
        """Messages come in any order, twice, and long after somebody else has done their tasks."""
        keys = [self.keys[index] for index in wanted]
        owner = f"worker-{next(self.world.owners)}"
        claimed = self.world.transact(lambda c: tasks.claim(c, keys, owner, 60))
        free = {key for key in keys if self.tasks[key].is_free and self.is_running}
        assert {claim.key for claim in claimed} == free
        for key in set(keys) - free:
            if self.tasks[key].state == "published":
                self.tasks[key].state = "todo"
        for claim in claimed:
            one = self.tasks[claim.key]
            assert claim.attempt == one.attempt + 1
            one.state, one.attempt, one.expired = "leased", claim.attempt, False
        return multiple(*claimed)

    @rule(index=indices)
    def expire(self, index: int) -> None:
        """A worker crashed, or was stopped for too long."""
        one = self.tasks[self.keys[index]]
        self.world.transact(
            lambda c: execute(
                c,
                """
                UPDATE tasks SET leased_until = now() - interval '1 second'
                WHERE state = 'leased' AND run_id = :run_id AND image = :image
                """,
                run_id=self.run_id,
                image=IMAGES[index],
            )
        )
        one.expired = one.state == "leased"

    @rule(held=st.lists(claims, min_size=1, max_size=3))
    def renew(self, held: list[Claim]) -> None:
        told = [Held(claim, None, {}) for claim in held]
        ours = self.world.transact(lambda c: tasks.renew(c, told, 60))
        assert ours == {claim for claim in held if self.owns(claim)}
        for claim in ours:
            self.tasks[claim.key].expired = False

    @rule(claim=claims, which=st.integers(0, PER_IMAGE - 1))
    def commit(self, claim: Claim, which: int) -> None:
        """Of an owner, or of one who does not know yet that he is none any more."""
        self.keep(claim, [which], finish=False)

    @rule(claim=consumes(claims))
    def finish(self, claim: Claim) -> None:
        if self.keep(claim, list(range(PER_IMAGE)), finish=True):
            self.tasks[claim.key].state = "done"

    @rule(claim=claims)
    def give_back(self, claim: Claim) -> None:
        self.world.transact(lambda c: tasks.give_back(c, [claim]))
        if self.owns(claim):
            self.tasks[claim.key].state, self.tasks[claim.key].expired = "todo", False

    @rule(claim=claims)
    def count_error(self, claim: Claim) -> None:
        one, owned = self.tasks[claim.key], self.owns(claim)
        failed = self.world.transact(lambda c: tasks.count_error(c, claim, "error", ERRORS_ALLOWED))
        if owned:
            one.errors, one.expired = one.errors + 1, False
            one.state = "failed" if one.errors >= ERRORS_ALLOWED else "todo"
        assert failed == (owned and one.state == "failed")

    @rule()
    def pause_or_resume(self) -> None:
        self.is_running = not self.is_running
        status = "running" if self.is_running else "paused"
        self.world.transact(lambda c: runs.set_status(c, self.run_id, status))  # type: ignore[arg-type]

    def owns(self, claim: Claim) -> bool:
        """A lease that ran out still counts until somebody else takes the task."""
        one = self.tasks[claim.key]
        return one.state == "leased" and one.attempt == claim.attempt

    def keep(self, claim: Claim, which: list[int], *, finish: bool) -> bool:
        """Commit results and a call as a worker does; whether the model and the committer both say that they count."""
        ids = [PER_IMAGE * IMAGES.index(claim.key.image) + number for number in which]
        hashes = {number: f"{self.run_id}|{number}|{claim.attempt}" for number in ids}
        call = {**dict.fromkeys(work_columns(), 0), **claim.as_json(), "number": next(self.num_calls)}
        rows = {
            "answers": [answer(one) for one in hashes.values()],
            "bindings": [binding(self.run_id, number, one) for number, one in hashes.items()],
            "calls": [{**call, "role": "teacher", "model_revision": "r", "calls": 1}],
        }
        self.calls_made += 1
        try:
            self.world.runner.run(self.world.committer.commit(claim, rows, finish=finish))
        except ClaimLost:
            assert not self.owns(claim)
            return False
        assert self.owns(claim)
        self.bound = {**hashes, **self.bound}
        return True

    @invariant()
    def the_database_is_as_expected(self) -> None:
        async def look(c: AsyncConnection) -> Any:
            mine = {"run_id": self.run_id}
            return (
                await fetch(
                    c, "SELECT image, state, attempt, errors FROM tasks WHERE run_id = :run_id", **mine
                ),
                await fetch(
                    c, "SELECT instruction_id, request_hash FROM bindings WHERE run_id = :run_id", **mine
                ),
                await scalar(c, "SELECT sum(calls) FROM usage_totals WHERE run_id = :run_id", **mine),
            )

        rows, bindings, num_calls = self.world.transact(look)
        found = {row["image"]: (row["state"], row["attempt"], row["errors"]) for row in rows}
        expected = {key.image: (one.state, one.attempt, one.errors) for key, one in self.tasks.items()}
        if rows:  # none before the plan
            assert found == expected
        assert {row["instruction_id"]: row["request_hash"] for row in bindings} == self.bound
        assert (num_calls or 0) == self.calls_made

    def teardown(self) -> None:
        """Whatever has happened: one worker that is left alone ends it all."""
        if not self.is_running:
            self.pause_or_resume()
        for index in range(len(IMAGES)):
            self.expire(index)
        self.publish(len(IMAGES), True)
        claimed = self.world.transact(lambda c: tasks.claim(c, self.keys, "last", 60))
        for claim in claimed:
            one = self.tasks[claim.key]
            one.state, one.attempt, one.expired = "leased", claim.attempt, False
            self.finish(claim)
        self.the_database_is_as_expected()
        assert {one.state for one in self.tasks.values()} <= {"done", "failed"}
        for key, one in self.tasks.items():
            ids = {PER_IMAGE * IMAGES.index(key.image) + number for number in range(PER_IMAGE)}
            assert one.state == "failed" or ids <= self.bound.keys()


def work_columns() -> tuple[str, ...]:
    return ("items", "calls", "prompt_tokens", "cached_tokens", "completion_tokens", "seconds", "cost_nanos")


def answer(request_hash: str) -> dict[str, Any]:
    said = {
        "role": "teacher",
        "model_revision": "r",
        "prompt_version": "1",
        "text": "",
        "finish_reason": "stop",
    }
    return {"request_hash": request_hash, **said, "prompt_tokens": 0, "completion_tokens": 0}


def binding(run_id: str, number: int, request_hash: str) -> dict[str, Any]:
    whose = {"run_id": run_id, "instruction_id": number, "role": "teacher", "checkpoint": ""}
    return {**whose, "request_hash": request_hash}


@pytest.fixture
def world(postgres_url: str) -> Iterator[World]:
    with asyncio.Runner() as runner:
        engine = connect(postgres_url)
        made = World(runner, engine, Committer(engine))
        summary = {"path": "p", "content_sha256": "", "refused": [], "purpose": "instruct"}
        counts = dict.fromkeys(("num_records", "num_instructions", "num_images", "num_refused"), 0)
        made.transact(lambda c: datasets.add(c, {"name": "set", **summary, **counts}))
        committing = runner.get_loop().create_task(made.committer.run())
        yield made
        committing.cancel()
        runner.run(engine.dispose())


def test_each_result_is_written_once_by_its_owner_and_no_task_is_lost(world: World) -> None:
    machine = type("TaskMachineHere", (TaskMachine,), {"world": world})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
