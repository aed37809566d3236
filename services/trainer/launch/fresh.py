"""Ranks as fresh processes. In: a job's plan. Out: a running program, by torchrun or DeepSpeed's own launcher.

The launcher ends with the trainer, every rank with its launcher. Nodes beside this one are reached as DeepSpeed
does it: by the hostfile and ssh.
"""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

from services.trainer import durable
from services.trainer.devices import slots
from services.trainer.launch.running import Program
from services.trainer.plan import Plan
from services.trainer.serving.student_engine import free_port
from services.trainer.training import rank

ROOT = Path(__file__).resolve().parents[3]


def command(plan: Plan, plan_file: Path, port: int) -> list[str]:
    """The command line that starts every rank of the job."""
    devices = plan.devices
    program = ["--module", "services.trainer.training.rank", str(plan_file)]
    if devices.launcher == "torchrun":
        return [
            *(sys.executable, "-m", "torch.distributed.run"),
            *("--nproc_per_node", str(devices.num_processes), "--max_restarts", "0"),
            *("--master_addr", "127.0.0.1", "--master_port", str(port)),
            *program,
        ]
    hosts = slots(devices.hostfile) if devices.hostfile else {}
    places = ["--num_gpus", str(devices.num_processes)]
    if len(hosts) > 1:
        places = ["--hostfile", str(devices.hostfile), "--launcher", devices.node_launcher]
        places += ["--master_addr", next(iter(hosts))]  # else it asks that host for its address by ssh
        places += [] if devices.node_launcher == "pdsh" else ["--no_ssh_check"]
    deepspeed = "from deepspeed.launcher.runner import main; main()"
    return [sys.executable, "-c", deepspeed, *places, "--master_port", str(port), *program]


async def start(plan: Plan, environment: dict[str, str]) -> Program:
    """Start the job's ranks; their output goes to the job's log."""
    plan_file = plan.folder / "plan.json"
    durable.write(plan_file, plan.model_dump_json().encode())
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    own = {
        **environment,
        "PYTHONPATH": path,
        rank.SERVICE_PID: str(os.getpid()),
        rank.SERVICE_HOST: os.uname().nodename,
        **(
            {}
            if plan.devices.gpu
            else {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": str(plan.devices.threads)}
        ),
    }
    tied = [sys.executable, "-m", "services.trainer.launch.tied", str(os.getpid())]
    with plan.log.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *tied,
            *command(plan, plan_file, free_port()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **own},
            cwd=ROOT,
            start_new_session=True,  # a group of its own, so that nothing of it is left behind
        )

    async def send(number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    program = Program(plan.devices.launcher, send)
    _waiting.add(waiting := asyncio.create_task(_wait(process, program)))
    waiting.add_done_callback(_waiting.discard)
    return program


_waiting: set[asyncio.Task[None]] = set()  # asyncio itself keeps tasks only weakly


async def _wait(process: asyncio.subprocess.Process, program: Program) -> None:
    status = await process.wait()
    await program.kill(signal.SIGKILL)  # a rank that outlived its launcher
    program.exited.set_result(status)
