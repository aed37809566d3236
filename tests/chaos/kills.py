"""Acts that kill processes of ours: workers, coordinators, the trainer."""

import os
import re
import signal
import time
from collections.abc import Iterator

from comd.stack.children import Child
from tests.chaos.scene import Act, Scene

OWNERS = "SELECT array_agg(DISTINCT owner) FROM tasks WHERE state = 'leased' AND leased_until > now()"
OPEN = "SELECT count(*) FROM tasks WHERE state IN ('todo', 'published', 'leased')"


def kill(child: Child) -> None:
    assert child.process is not None
    os.kill(child.process.pid, signal.SIGKILL)
    child.process.wait()


def kill_workers(times: int) -> Act:
    """Each time one that is at work, at random points of the run."""

    def worker_killed(scene: Scene) -> Iterator[None]:
        for share in scene.random_shares(times):
            yield from scene.until_share(share)
            while not (busy := busy_workers(scene)):
                yield
            strike = scene.begin_strike("worker killed")
            kill(scene.rng.choice(busy))
            scene.end_strike(strike)
            yield

    return worker_killed


def busy_workers(scene: Scene) -> list[Child]:
    """Those that hold a task."""
    row = scene.ledger.ask(OWNERS)
    pids = {int(found[1]) for owner in (row and row[0]) or () if (found := re.search(r"-(\d+)-\w+$", owner))}
    return [child for child in scene.workers if is_up(child) and child.process and child.process.pid in pids]


def is_up(child: Child) -> bool:
    return child.process is not None and child.exit_status is None


def kill_coordinators(times: int) -> Act:
    """At random points of the run; each time one that has had time to start."""

    def coordinator_killed(scene: Scene) -> Iterator[None]:
        for share in scene.random_shares(times):
            yield from scene.until_share(share)
            yield from _kill_coordinator(scene, "coordinator killed")

    return coordinator_killed


def kill_at_boundaries(most: int = 1000) -> Act:
    """At every phase's end: by turns when no task is open any more, and when the next phase has just begun."""

    def coordinator_killed_at_boundary(scene: Scene) -> Iterator[None]:
        for number in range(most):
            phase = scene.phase
            yield from scene.wait_until(lambda phase=phase: scene.phase != phase)  # type: ignore[misc]
            if number % 2:
                yield from scene.wait_until(lambda: has_no_open_task(scene))
            yield from scene.wait(scene.rng.choice((0.0, 0.0, 0.05, 0.1)))
            yield from _kill_coordinator(scene, "coordinator killed at a boundary")

    return coordinator_killed_at_boundary


def has_no_open_task(scene: Scene) -> bool:
    return scene.ledger.ask(OPEN) == (0,)


def _kill_coordinator(scene: Scene, kind: str) -> Iterator[None]:
    while not (up := [child for child in scene.coordinators if is_up(child)]):
        yield
    scene.begin_strike(kind)  # it makes no calls of the engine, so that none may be repeated
    kill(scene.rng.choice(up))
    yield from scene.wait(0.1)


def kill_trainer(times: int) -> Act:
    """In the middle of jobs, as evenly spread over the run's trainings as can be."""

    def trainer_killed(scene: Scene) -> Iterator[None]:
        num_killed = 0
        while num_killed < times:
            yield from scene.wait_until(
                lambda: scene.phase.endswith(" training") and is_up(scene.site.trainer)
            )
            yield from scene.wait(scene.rng.uniform(0.3, 1.0))
            if not scene.phase.endswith(" training"):
                continue  # the job was over before
            num_killed += 1
            strike = scene.begin_strike("trainer killed in a job")
            began = time.monotonic()
            kill(scene.site.trainer)
            yield from scene.wait_until(lambda: scene.site.lab.is_healthy("trainer"))
            strike.back_s = round(time.monotonic() - began, 2)
            scene.end_strike(strike)

    return trainer_killed
