"""The trainer on GPUs: a LLaVA of 7B parameters with random weights, all weights and LoRA, beside TRL's SFTTrainer.

In: `make bench-gpu`, or `python -m benchmarks.gpu.run --tiny --cpu`. Out: tokens per second, MFU, a table, a JSON file.
"""

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from benchmarks.gpu import devices, flops, peer_environment
from benchmarks.gpu.programs import LEFT_OUT, our_speed, peer_speed
from benchmarks.gpu.steps import batches_of
from benchmarks.hardware import cpu_name
from benchmarks.training import jobs, student
from benchmarks.training.turns import spread
from services.trainer.devices import DEFAULT_WORKERS, Devices
from services.trainer.plan import Plan
from services.trainer.settings import Adaptation
from shared.errors import ConfigError

BASELINES = Path(__file__).parents[1] / "baselines"
FULL_SIZE = {"batch": 16, "micro": 2, "steps": 15, "rank": 128, "lengths": (1024, 2048)}
TINY = {"batch": 4, "micro": 2, "steps": 8, "rank": 8, "lengths": (40, 90)}
CPU_TFLOPS = 0.1  # a stand-in, so that the tiny run goes through every line; its MFU means nothing
GIB = 2**30


def main() -> None:
    options = parsed()
    device, memory, num = accelerators(options.cpu)
    peak = devices.peak_flops(device, CPU_TFLOPS if options.cpu else options.peak_tflops)
    folder = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    sizes = make_inputs(folder, options.tiny, num, options.cpu)
    python = peer_environment.python_with_trl(folder / "trl") if options.peer else "left out, as asked"
    if isinstance(python, str):
        print(f"no peer: {python}", flush=True)
    rows = {}
    for adaptation in options.adaptation or ("full", "lora"):
        plan = plan_of(folder, adaptation, options, sizes, memory, num)
        rows[adaptation] = measure(
            plan, sizes, peak, options.pairs, None if isinstance(python, str) else python
        )
        print(json.dumps(rows[adaptation]), flush=True)
    report = {"device": device, "num_devices": num, "tiny": options.tiny, "trl": peer_environment.TRL}
    report |= {"peak_flops": peak, "adaptations": rows}
    if not options.tiny:
        path = BASELINES / f"gpu-{re.sub(r'[^a-z0-9]+', '-', device.lower()).strip('-')}.json"
        path.write_text(json.dumps(report, indent=1) + "\n")
    print(markdown(rows))
    swap_weights()


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="a tiny student and few steps")
    parser.add_argument("--cpu", action="store_true", help="without a GPU; only with --tiny")
    parser.add_argument("--adaptation", action="append", choices=("full", "lora"), help="default: both")
    parser.add_argument("--pairs", type=int, default=2, help="how often ours and the peer's run in turn")
    parser.add_argument("--micro", type=int, help="records a device takes at once")
    parser.add_argument("--peak-tflops", type=float, help="dense bf16, of a device that is not known here")
    parser.add_argument("--no-peer", dest="peer", action="store_false", help="without TRL")
    parser.add_argument("--folder", type=Path, default=Path("runs/bench-gpu"), help="15 GB for the student")
    options = parser.parse_args()
    if options.cpu and not options.tiny:
        parser.error("--cpu needs --tiny: 7B parameters are not trained on a CPU")
    return options


def accelerators(cpu: bool) -> tuple[str, int, int]:
    """Name and memory of the first device, and how many there are; asked of the driver, not of CUDA."""
    if cpu:
        return cpu_name(), 0, 1
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(query, check=True, capture_output=True, text=True).stdout.strip().splitlines()
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigError(f"no GPU is found ({error}); try --tiny --cpu") from error
    name, mebibytes = lines[0].rsplit(",", 1)
    return name.strip(), int(mebibytes) * 2**20, len(lines)


def make_inputs(folder: Path, tiny: bool, num: int, cpu: bool) -> flops.Sizes:
    """Student, pictures and training file; the student of 7B parameters is made once."""
    from transformers import LlavaConfig

    geometry, shape = (student.TINY, TINY) if tiny else (student.LLAVA_7B, FULL_SIZE)
    made = folder / "student-complete"
    name = "tiny" if tiny else "llava-7b"
    if not made.exists() or made.read_text() != name:
        program = [sys.executable, "-m", "benchmarks.training.student", str(folder / "student")]
        subprocess.run([*program, name, "cpu" if cpu else "cuda"], check=True)
        made.write_text(name)
    rng = Random("gpu")
    number = shape["batch"] * num * shape["steps"]
    jobs.write_data(folder, geometry, [rng.randint(*shape["lengths"]) for _ in range(number)])
    return flops.sizes_of(LlavaConfig.from_pretrained(folder / "student"))


def plan_of(
    folder: Path,
    adaptation: Adaptation,
    options: argparse.Namespace,
    sizes: flops.Sizes,
    memory: int,
    num: int,
) -> Plan:
    """bf16, gradient checkpointing, ZeRO as it fits; the records of the plan prepared."""
    shape = TINY if options.tiny else FULL_SIZE
    trained = flops.language_weights(sizes) + sizes.hidden * sizes.vocabulary  # and the embeddings
    zero, offload = (
        (2, False) if adaptation == "lora" or options.cpu else devices.sharding(trained, memory, num)
    )
    placed = Devices(
        gpu=not options.cpu,
        num_processes=num,
        launcher="torchrun",
        dtype="bf16",
        zero_stage=zero,
        offload=offload,
        micro_batch_size=options.micro or shape["micro"],
        gradient_checkpointing=True,
        attention="auto",
        threads=1,
        loader_workers=0 if options.cpu else DEFAULT_WORKERS,
        hostfile=None,
    )
    given = {"batch_size": shape["batch"] * num, "lora_rank": shape["rank"], "lora_alpha": 2 * shape["rank"]}
    plan = jobs.plan(folder, f"job-{adaptation}", placed, adaptation, learning_rate=2e-5, **given)
    jobs.prepare(plan)
    return plan


def measure(plan: Plan, sizes: flops.Sizes, peak: float, pairs: int, python: Path | None) -> dict[str, Any]:
    """Ours and the peer's in turn, `pairs` times."""
    from services.trainer.training.prepared import Examples

    given = plan.hyperparameters
    batches = batches_of(Examples(plan.prepared).lengths, given.batch_size, plan.seed)[LEFT_OUT:]
    work = sum(flops.training_flops(sizes, batch, plan.adaptation, given.lora_rank) for batch in batches)
    ours, peer = [], []
    for _ in range(pairs):
        ours.append(our_speed(plan))
        peer += [peer_speed(plan, python)] if python else []
    num = plan.devices.num_processes
    row = {
        "zero_stage": plan.devices.zero_stage,
        "offload": plan.devices.offload,
        "micro_batch_size": plan.devices.micro_batch_size,
        "tokens_per_s": [round(speed.tokens_per_s, 1) for speed in ours],
        "mfu": [round(flops.utilisation(work, speed.seconds, peak, num), 4) for speed in ours],
        "peak_gib": round(ours[0].peak_bytes / GIB, 1),
        "runs": [asdict(speed) for speed in ours],
    }
    if peer:
        ratios = [a.tokens_per_s / b.tokens_per_s for a, b in zip(ours, peer, strict=True)]
        row |= {
            "peer_tokens_per_s": [round(speed.tokens_per_s, 1) for speed in peer],
            "ratio": spread(ratios),
        }
        row |= {
            "peer_peak_gib": round(peer[0].peak_bytes / GIB, 1),
            "peer_runs": [asdict(one) for one in peer],
        }
    return row


def markdown(rows: dict[str, dict[str, Any]]) -> str:
    head = "| adaptation | ZeRO | tokens/s | MFU | GiB | TRL tokens/s | TRL GiB | ours over TRL |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        zero = f"{row['zero_stage']}{', offload' if row['offload'] else ''}"
        peer = ["not run"] * 3
        if "ratio" in row:
            ratio = "{median:.3f} ({min:.3f} - {max:.3f})".format(**row["ratio"])
            peer = [f"{median(row['peer_tokens_per_s']):,.0f}", f"{row['peer_peak_gib']}", ratio]
        speed = [f"{median(row['tokens_per_s']):,.0f}", f"{median(row['mfu']):.1%}", f"{row['peak_gib']}"]
        lines.append("| " + " | ".join([name, zero, *speed, *peer]) + " |")
    return "\n".join(lines)


def swap_weights() -> None:
    """New weights in a running vLLM against its restart: a benchmark of its own, where both are there."""
    for module, why in (("benchmarks.weight_swap", "is not here yet"), ("vllm", "is not installed")):
        if importlib.util.find_spec(module) is None:
            print(f"weight swap not measured: {module} {why}")
            return
    subprocess.run([sys.executable, "-m", "benchmarks.weight_swap"], check=True, env=dict(os.environ))


if __name__ == "__main__":
    main()
