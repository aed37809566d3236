"""Does difficulty choose better parents than chance? The loop against two controls equal in data and steps.

In: `python -m benchmarks.loop_controls --seeds 5`. Out: a JSON file named by the CPU, and a table in Markdown.
"""

import argparse
import copy
import json
import math
import platform
import re
import statistics
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import AutoProcessor, LlavaForConditionalGeneration

from benchmarks.plain_loop import TAU, Question, Row, Schedule, Target, captions, make_world, run_loop, tune
from benchmarks.plain_student import PlainStudent
from comd.student_base import make
from comd.world.phrasing import KINDS
from services.coordinator.selection import select

ARMS = ("comd", "random", "balanced_by_kind")
_T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}
"""Student's t for a 95 % interval, by the number of seeds."""


def choose_comd(pool: list[Question], scores: dict[int, float], seed: int) -> list[Question]:
    """All difficult questions and as many easy ones: the product's own selection."""
    difficult, easy = select(scores, TAU, seed)
    chosen = {*difficult, *easy}
    return sorted((q for q in pool if q.id in chosen), key=lambda q: q.id)


def choose_random(pool: list[Question], scores: dict[int, float], seed: int) -> list[Question]:
    """Distinct parents by chance; the limit of the tuning pool ends the drawing."""
    return Random(f"random|{seed}").sample(pool, len(pool))


def choose_balanced(pool: list[Question], scores: dict[int, float], seed: int) -> list[Question]:
    """By chance within each kind, kinds in turn; a kind that has run out is passed over."""
    drawn = choose_random(pool, scores, seed)
    by_kind = [[q for q in drawn if q.kind == kind] for kind in KINDS]
    longest = max(len(questions) for questions in by_kind)
    return [questions[n] for n in range(longest) for questions in by_kind if n < len(questions)]


CHOOSERS = {"comd": choose_comd, "random": choose_random, "balanced_by_kind": choose_balanced}


def run_seed(schedule: Schedule, seed: int) -> dict[str, Any]:
    """All arms of one seed: base, stage 1 and first training are shared."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), seed)
        model = LlavaForConditionalGeneration.from_pretrained(folder)
        processor = AutoProcessor.from_pretrained(folder)
    base_s = time.process_time() - began
    world = make_world(schedule, seed)
    pixels = processor.image_processor(world.pictures, return_tensors="pt")["pixel_values"]
    student = PlainStudent(model, processor.tokenizer, pixels)
    began = time.process_time()
    student.train(
        captions(world, schedule),
        epochs=schedule.stage1_epochs,
        batch=schedule.batch,
        learning_rate=schedule.stage1_rate,
        seed=seed,
        projector_only=True,
    )
    stage1_s = time.process_time() - began
    first = tune(world, student, world.pool, schedule, seed, 1)
    arms: dict[str, list[Row]] = {}
    targets: list[Target] = []
    for arm in ARMS:
        own = PlainStudent(copy.deepcopy(model), processor.tokenizer, pixels)
        rows = run_loop(copy.copy(world), own, schedule, CHOOSERS[arm], seed, targets)
        arms[arm] = [first, *rows]
        targets = targets or [Target(row["tuning_pool"], row["steps_per_epoch"]) for row in rows]
        print(seed, arm, [row["accuracy"] for row in arms[arm]], flush=True)
    return {"seed": seed, "base_cpu_s": round(base_s, 1), "stage1_cpu_s": round(stage1_s, 1), "arms": arms}


def summary(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and 95 % interval by arm and iteration, and the differences paired by seed."""
    table = {arm: [[row["accuracy"] for row in one["arms"][arm]] for one in seeds] for arm in ARMS}
    result: dict[str, Any] = {
        arm: [_interval(column) for column in zip(*table[arm], strict=True)] for arm in ARMS
    }
    for arm in ARMS[1:]:
        pairs = zip(table["comd"], table[arm], strict=True)
        differences = [[ours - theirs for ours, theirs in zip(*pair, strict=True)] for pair in pairs]
        result[f"comd - {arm}"] = [_interval(column) for column in zip(*differences, strict=True)]
    return result


def _interval(values: tuple[float, ...]) -> dict[str, float]:
    half = (
        _T_95[len(values)] * statistics.stdev(values) / math.sqrt(len(values))
        if len(values) > 1
        else math.nan
    )
    return {
        "mean": round(statistics.mean(values), 4),
        "interval": round(half, 4),
        "min": round(min(values), 4),
    }


def markdown(seeds: list[dict[str, Any]]) -> str:
    """The table by seed, and the table of means."""
    lines = ["| seed | arm | 1 | 2 | 3 | 4 |", "|---|---|---|---|---|---|"]
    for one in seeds:
        for arm in ARMS:
            cells = " | ".join(f"{row['accuracy']:.3f}" for row in one["arms"][arm])
            lines.append(f"| {one['seed']} | {arm} | {cells} |")
    lines += ["", "| mean of seeds | 1 | 2 | 3 | 4 |", "|---|---|---|---|---|"]
    for name, columns in summary(seeds).items():
        cells = " | ".join(f"{c['mean']:.3f} ± {c['interval']:.3f}" for c in columns)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def cpu_name() -> str:
    """The processor's model in a form fit for a file name."""
    path = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", path.read_text()) if path.exists() else None
    name = found[1] if found else platform.processor() or platform.machine()
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def main() -> None:
    """Runs all seeds; the file is written anew after each, so that an interrupted run leaves what it has."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loop_controls", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "baselines")
    options = parser.parse_args()
    torch.set_num_threads(1)
    schedule, seeds = Schedule(), []
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seeds):
        seeds.append(run_seed(schedule, seed))
        report = {"schedule": asdict(schedule), "summary": summary(seeds), "seeds": seeds}
        (options.out / f"loop_controls-{cpu_name()}.json").write_text(json.dumps(report, indent=1) + "\n")
    print(markdown(seeds))


if __name__ == "__main__":
    main()
