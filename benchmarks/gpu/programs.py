"""Runs a job's own program and the peer's on one plan. In: a plan. Out: how fast each was."""

import asyncio
import os
import shutil
import signal
import subprocess
from pathlib import Path

from benchmarks.gpu import steps
from benchmarks.gpu.steps import Speed
from services.trainer import endings
from services.trainer.launch import fresh
from services.trainer.plan import Plan
from services.trainer.serving.student_engine import free_port
from services.trainer.training.prepared import Examples
from shared.errors import ComdError

LEFT_OUT = 3  # first steps: allocations, compilation of kernels, the longest batch
PEER_TIMEOUT_S = 3600
ROOT = Path(__file__).parents[2]


class ProgramFailed(ComdError):
    code = "benchmark_failed"


def our_speed(plan: Plan) -> Speed:
    """The trainer's own program, by the trainer's own launcher, as for any job."""
    for path in (plan.progress, plan.trained):
        path.unlink(missing_ok=True)
    shutil.rmtree(plan.weights, ignore_errors=True)
    status = asyncio.run(_launched(plan))
    if not plan.trained.exists():
        ending = endings.read(plan.folder)
        said = ending.message if ending else plan.log.read_text(errors="replace")[-1500:]
        raise ProgramFailed(f"our job ended with status {status}: {said}")
    shutil.rmtree(plan.weights, ignore_errors=True)  # 14 GB each, at full size
    lengths = Examples(plan.prepared).lengths
    batches = steps.batches_of(lengths, plan.hyperparameters.batch_size, plan.seed)
    return steps.of_job(plan.progress, batches, LEFT_OUT)


async def _launched(plan: Plan) -> int:
    endings.forget(plan.folder)
    program = await fresh.start(plan, {})
    return await program.exited


def peer_speed(plan: Plan, python: Path) -> Speed:
    """TRL's, in its own environment, by torchrun too."""
    lines = plan.folder / "peer.jsonl"
    lines.unlink(missing_ok=True)
    log = plan.folder / "peer.log"
    ranks = ("--nproc_per_node", str(plan.devices.num_processes), "--master_port", str(free_port()))
    command = [str(python), "-m", "torch.distributed.run", *ranks, "--module", "benchmarks.gpu.peer"]
    command += [str(plan.folder / "plan.json"), str(lines)]
    quiet = {"TORCHDYNAMO_DISABLE": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    cpu = {} if plan.devices.gpu else {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": str(plan.devices.threads)}
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **quiet, **cpu},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        status = process.wait(PEER_TIMEOUT_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    if status:
        raise ProgramFailed(f"the peer ended with status {status}: {log.read_text(errors='replace')[-1500:]}")
    return steps.of_peer(lines, LEFT_OUT)
