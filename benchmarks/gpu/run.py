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
from statistics import median
from typing import Any

from benchmarks.gpu import devices, flops, inputs, peer_environment
from benchmarks.gpu.programs import LEFT_OUT, our_speed, peer_speed
from benchmarks.gpu.steps import batches_of
from benchmarks.training.turns import spread
from services.trainer.plan import Plan
from services.trainer.training.prepared import Examples

BASELINES = Path(__file__).parents[1] / "baselines"
CPU_TFLOPS = 0.1  # a stand-in, so that the tiny run goes through every line; its MFU means nothing
GIB = 2**30


def main() -> None:
    options = parsed()
    place = inputs.machine(options.cpu)
    load = inputs.TINY if options.tiny else inputs.FULL_SIZE
    peak = devices.peak_flops(place.device, CPU_TFLOPS if options.cpu else options.peak_tflops)
    folder = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    sizes = inputs.make(folder, load, place)
    python = peer_python(folder / "trl") if options.peer else None
    rows = {}
    for adaptation in options.adaptation or ("full", "lora"):
        plan = inputs.plan(folder, load, place, adaptation, sizes, options.micro)
        rows[adaptation] = measure(plan, sizes, peak, options.pairs, python)
        print(json.dumps(rows[adaptation]), flush=True)
    if not options.tiny:
        save(place, peak, rows)
    print(markdown(rows))
    swap_weights()


def peer_python(folder: Path) -> Path | None:
    python = peer_environment.python_with_trl(folder)
    if isinstance(python, Path):
        return python
    print(f"no peer: {python}", flush=True)
    return None


def save(place: inputs.Machine, peak: float, rows: dict[str, dict[str, Any]]) -> None:
    """The baseline, named by the device."""
    name = re.sub(r"[^a-z0-9]+", "-", place.device.lower()).strip("-")
    about = {"device": place.device, "num_devices": place.num_devices, "trl": peer_environment.TRL}
    report = json.dumps({**about, "peak_flops": peak, "adaptations": rows}, indent=1)
    (BASELINES / f"gpu-{name}.json").write_text(report + "\n")


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


def measure(plan: Plan, sizes: flops.Sizes, peak: float, pairs: int, python: Path | None) -> dict[str, Any]:
    """Ours and the peer's in turn, `pairs` times."""
    given = plan.hyperparameters
    batches = batches_of(Examples(plan.prepared).lengths, given.batch_size, plan.seed)[LEFT_OUT:]
    rank = given.lora_rank or 0
    work = sum(flops.training_flops(sizes, batch, plan.adaptation, rank) for batch in batches)
    ours, peer = [], []
    for _ in range(pairs):
        ours.append(our_speed(plan))
        peer += [peer_speed(plan, python)] if python else []
    num = plan.devices.num_processes
    row: dict[str, Any] = {
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
