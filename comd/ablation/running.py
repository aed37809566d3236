"""Runs an ablation: for each seed one world, one base student and one stack, with every arm as a run of it.

What is finished is on the disk at once and is not run again; Ctrl-C stops everything.
"""

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from comd.ablation.measuring import outcome_of
from comd.ablation.plan import Ablation, Arm
from comd.ablation.results import Outcome, Results
from comd.client import Client
from comd.demo.beginning import NAME, import_world
from comd.demo.folder import DemoFolder
from comd.demo.make import make_world, student_in_the_making
from comd.demo.run import stack_settings
from comd.stack.settings import StackSettings
from comd.stack.stack import Stack
from comd.watch import watch_run
from services.coordinator.api.shapes import Run
from shared.errors import ComdError

ENDS = {"finished", "exhausted"}
START_KEY = "ablation"
Told = Callable[[Outcome], None]


def run_missing(console: Console, results: Results, folder: Path, base_port: int, told: Told) -> None:
    """Every arm of every seed that has no outcome yet. `told` hears of each as it is on the disk."""
    plan = results.ablation
    for seed in range(plan.seeds):
        if missing := [arm for arm in plan.arms if not results.has(seed, arm.name)]:
            _run_seed(console, results, missing, seed, folder, base_port, told)


def _run_seed(
    console: Console,
    results: Results,
    missing: list[Arm],
    seed: int,
    folder: Path,
    base_port: int,
    told: Told,
) -> None:
    plan, place = results.ablation, DemoFolder(seed, folder / "work" / f"seed-{seed}")
    console.print(f"Seed {seed}: making the world and the base student, starting the stack ...")
    with student_in_the_making(place) as is_made, Stack(_settings(place, base_port)) as stack:
        make_world(place, plan.world.pictures, plan.world.heldout_per_kind)
        with Client(stack.url, stack.keys.api) as client:
            import_world(console, client, place, place.world / "captions.json")
            while not is_made():
                stack.check()
                time.sleep(0.1)
            for arm in missing:
                console.print(f"Seed {seed} of {plan.seeds}, arm {arm.name} ...", markup=False)
                outcome = run_arm(console, client, results, arm, seed, stack.check)
                results.save(folder)
                told(outcome)


def _settings(place: DemoFolder, base_port: int) -> StackSettings:
    """The demo's stack; the captions are taken as they are, and training is not tracked."""
    settings = stack_settings(place, base_port)
    coordinator = {"data_roots": [str(place.world)]}
    trainer = {**settings.trainer, "tracking": []}
    return settings.model_copy(update={"coordinator": coordinator, "trainer": trainer})


def run_arm(
    console: Console, client: Client, results: Results, arm: Arm, seed: int, check: Callable[[], None]
) -> Outcome:
    started = time.monotonic()
    run = _go_on(
        client, _begun(client, results.ablation, arm, seed), results.ablation.config(arm, seed).trainings
    )
    run = watch_run(client, run.id, console, check)
    if run.status not in ENDS:
        raise ComdError(f"seed {seed}, arm {arm.name}: the run is {run.status}: {run.reason}; try again")
    outcome, items = outcome_of(client, run, seed, arm.name, time.monotonic() - started)
    results.add(outcome, items)
    return outcome


def _begun(client: Client, plan: Ablation, arm: Arm, seed: int) -> Run:
    """The arm's run: as an earlier attempt left it, else a branch of the base, else a new one."""
    runs = {run.name: run.id for run in client.runs.list()}
    if arm.name in runs:
        return client.runs.get(runs[arm.name])
    config = plan.config(arm, seed).model_dump()
    if plan.branches(arm):
        return client.runs.branch(runs[plan.base.name], 1, arm.name, config)
    return client.runs.create(arm.name, NAME, config)


def _go_on(client: Client, run: Run, trainings: int) -> Run:
    """Started as often as it is asked for, because of the key; resumed where it stands still."""
    if run.status in {"paused", "failed"}:
        return client.runs.resume(run.id)
    if run.status in {"created", "finished"}:
        count = trainings - (run.branched_from or 0)
        return client.runs.start(run.id, count, idempotency_key=START_KEY)
    return run
