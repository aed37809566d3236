"""What starting a job of two processes costs, forked from the warm parent and by torchrun; what its states cost.

In: `python -m benchmarks.trainer_start`. Out: a JSON file named by the CPU, and a table in Markdown.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from benchmarks.hardware import cpu_name
from benchmarks.trainer_steps import BASELINES, BATCH, SIZES, lengths
from benchmarks.training import jobs, student
from benchmarks.training.turns import spread
from services.trainer import endings, training_states
from services.trainer.launch import fresh
from services.trainer.launch.running import Program
from services.trainer.launch.warm_parent import WarmParent
from services.trainer.plan import Plan, rendezvous
from services.trainer.training_states import TrainingState

RANKS, STEPS, POLL_S = 2, 6, 0.01


async def started(plan: Plan, parent: WarmParent) -> Program:
    """As the service starts it."""
    if plan.devices.launcher != "fork":
        return await fresh.start(plan, {})
    arguments = orjson.loads(plan.model_dump_json())
    return await parent.run("train", arguments, plan.log, rendezvous(RANKS), RANKS)


async def to_first_step(plan: Plan, parent: WarmParent) -> dict[str, float]:
    """Seconds from the asking to the first step that was told of, and to the end."""
    endings.forget(plan.folder)
    plan.trained.unlink(missing_ok=True)
    told_before = num_steps(plan)
    began = time.perf_counter()
    program = await started(plan, parent)
    while num_steps(plan) == told_before and not program.exited.done():
        await asyncio.sleep(POLL_S)
    first = time.perf_counter() - began
    status = await program.exited
    if not plan.trained.exists():
        raise SystemExit(f"the job ended with status {status}:\n{plan.log.read_text()[-1500:]}")
    return {"first_step_s": first, "whole_s": time.perf_counter() - began}


def num_steps(plan: Plan) -> int:
    return plan.progress.read_bytes().count(b'"learning_rate"') if plan.progress.exists() else 0


def forget_steps(plan: Plan, after: int) -> None:
    """Remove what was told of later steps, as the service does before a job goes on."""
    lines = [json.loads(line) for line in plan.progress.read_text().splitlines()]
    kept = [line for line in lines if line["kind"] == "step" and line["step"] <= after]
    plan.progress.write_text("".join(json.dumps(line) + "\n" for line in kept))


def job(folder: Path, size: str, launcher: str, save_every_steps: int = 1_000_000) -> Plan:
    """A job of two processes and a few steps."""
    devices = jobs.CPU.model_copy(update={"num_processes": RANKS, "launcher": launcher, "zero_stage": 2})
    name = f"{launcher}-{save_every_steps}"
    return jobs.plan(folder, name, devices, save_every_steps=save_every_steps, batch_size=BATCH)


async def starts(folder: Path, parent: WarmParent, pairs: int) -> dict[str, Any]:
    """Fork and launcher in turn."""
    plans = [job(folder, "demo", launcher) for launcher in ("fork", "torchrun")]
    for plan in plans:
        jobs.prepare(plan)
    rows = [[await to_first_step(plan, parent) for plan in plans] for _ in range(pairs)]
    seconds = [[row["first_step_s"] for row in column] for column in zip(*rows, strict=True)]
    return {
        "pairs": pairs,
        "fork_s": spread(seconds[0]),
        "torchrun_s": spread(seconds[1]),
        "torchrun_over_fork": spread([slow / quick for quick, slow in zip(*seconds, strict=True)]),
    }


async def states(folder: Path, parent: WarmParent, pairs: int) -> dict[str, Any]:
    """A job that saves after every step against one that saves none; then one that goes on from the last state."""
    saving, plain = job(folder, "", "fork", 1), job(folder, "", "fork")
    for plan in (saving, plain):
        jobs.prepare(plan)
    state: TrainingState | None = None
    costs, resumed, fresh_start = [], [], []
    for _ in range(pairs):
        for plan in (saving, plain):
            plan.progress.unlink(missing_ok=True)
        ran = [await to_first_step(plan, parent) for plan in (saving, plain)]
        training = [row["whole_s"] - row["first_step_s"] for row in ran]
        # after the first step: its own state and those of all later steps but the last, whose weights come next
        costs.append((training[0] - training[1]) / (STEPS - 1))
        state = training_states.newest(saving.folder)
        assert state is not None
        forget_steps(saving, state.step)
        going_on = saving.model_copy(update={"resume_from": state.folder, "save_every_steps": 1_000_000})
        resumed.append((await to_first_step(going_on, parent))["first_step_s"])
        fresh_start.append(ran[1]["first_step_s"])
    assert state is not None
    size = sum(path.stat().st_size for path in state.folder.rglob("*") if path.is_file())
    return {
        "parameters": parameters(folder),
        "state_bytes": size,
        "state_s": spread(costs),
        "resume_to_next_step_s": spread(resumed),
        "start_to_first_step_s": spread(fresh_start),
        "resume_minus_start_s": round(median(resumed) - median(fresh_start), 3),
    }


def parameters(folder: Path) -> int:
    """Of the student, from the header of its file."""
    from safetensors import safe_open

    with safe_open(folder / "student" / "model.safetensors", "pt") as file:
        return sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118


async def measure(pairs: int) -> dict[str, Any]:
    parent = WarmParent()
    await parent.start()
    await parent.ready()
    report: dict[str, Any] = {"cpu": cpu_name(), "ranks": RANKS}
    try:
        for size, (geometry, _) in SIZES.items():
            with tempfile.TemporaryDirectory(prefix="comd-start-") as name:
                folder = Path(name)
                student.make(folder / "student", geometry)
                jobs.write_data(folder, geometry, lengths(BATCH * STEPS))
                if size == "demo":
                    report["starts"] = await starts(folder, parent, pairs)
                    print(json.dumps(report["starts"]), flush=True)
                report.setdefault("states", {})[size] = await states(folder, parent, pairs)
                print(size, json.dumps(report["states"][size]), flush=True)
    finally:
        await parent.close()
    return report


def markdown(report: dict[str, Any]) -> str:
    quoted = "{median:.2f} ({min:.2f} - {max:.2f})"
    starts_row = [
        quoted.format(**report["starts"][key]) for key in ("fork_s", "torchrun_s", "torchrun_over_fork")
    ]
    lines = ["| forked, s | torchrun, s | ratio |", "|---|---|---|", f"| {' | '.join(starts_row)} |", ""]
    lines += [
        "| student | parameters | state, MB | saving it, s | resume to a step, s | start to a step, s |"
    ]
    lines += ["|---|---|---|---|---|---|"]
    for name, row in report["states"].items():
        keys = ("state_s", "resume_to_next_step_s", "start_to_first_step_s")
        shown = " | ".join(quoted.format(**row[key]) for key in keys)
        lines.append(f"| {name} | {row['parameters']:,} | {row['state_bytes'] / 1e6:.1f} | {shown} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["DS_ACCELERATOR"] = "cpu"
    report = asyncio.run(measure(options.pairs))
    (BASELINES / f"trainer_start-{cpu_name()}.json").write_text(json.dumps(report, indent=1) + "\n")
    print(markdown(report))


if __name__ == "__main__":
    main()
