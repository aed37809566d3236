"""Does difficulty choose better parents than chance? The loop against two controls equal in data and steps.

In: `python -m benchmarks.loop_controls --seeds 5`. Out: a JSON file named by the CPU, and a table in Markdown.
"""

import argparse
import copy
import json
import math
import statistics
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import AutoProcessor, LlavaForConditionalGeneration

from benchmarks.hardware import cpu_name
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


class SeedRun:
    """One seed: the base, stage 1 and first training that all arms share, and each arm's rows so far."""

    def __init__(self, schedule: Schedule, seed: int) -> None:
        began = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), seed)
            self.model = LlavaForConditionalGeneration.from_pretrained(folder)
            processor = AutoProcessor.from_pretrained(folder)
        self.schedule, self.seed, self.tokenizer = schedule, seed, processor.tokenizer
        self.base_cpu_s = round(time.process_time() - began, 1)
        self.world = make_world(schedule, seed)
        self.pixels = processor.image_processor(self.world.pictures, return_tensors="pt")["pixel_values"]
        student = PlainStudent(self.model, self.tokenizer, self.pixels)
        began = time.process_time()
        student.train(
            captions(self.world, schedule),
            epochs=schedule.stage1_epochs,
            batch=schedule.batch,
            learning_rate=schedule.stage1_rate,
            seed=seed,
            projector_only=True,
        )
        self.stage1_cpu_s = round(time.process_time() - began, 1)
        self.first = tune(self.world, student, self.world.pool, schedule, seed, 1)
        self.arms: dict[str, list[Row]] = {}

    def run(self, arm: str) -> None:
        """Iterations 2 to 4 of one arm; a control is made equal to the loop's own arm, which runs first."""
        student = PlainStudent(copy.deepcopy(self.model), self.tokenizer, self.pixels)
        own = self.arms.get(ARMS[0], [])[1:]
        targets = [Target(row["tuning_pool"], row["steps_per_epoch"]) for row in own]
        rows = run_loop(copy.copy(self.world), student, self.schedule, CHOOSERS[arm], self.seed, targets)
        self.arms[arm] = [self.first, *rows]
        print(self.seed, arm, [row["accuracy"] for row in self.arms[arm]], flush=True)

    def as_json(self) -> dict[str, Any]:
        """For the baseline file."""
        costs = {"base_cpu_s": self.base_cpu_s, "stage1_cpu_s": self.stage1_cpu_s}
        return {"seed": self.seed, **costs, "arms": self.arms}


def summary(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and 95 % interval by arm and iteration, and the differences paired by seed, over the seeds that are done."""
    result: dict[str, Any] = {}
    for arm in ARMS:
        result[arm] = _columns([_accuracies(one, arm) for one in seeds if arm in one["arms"]])
    for arm in ARMS[1:]:
        done = [one for one in seeds if arm in one["arms"]]
        pairs = [(_accuracies(one, ARMS[0]), _accuracies(one, arm)) for one in done]
        result[f"comd - {arm}"] = _columns([[a - b for a, b in zip(*pair, strict=True)] for pair in pairs])
    return result


def _accuracies(one: dict[str, Any], arm: str) -> list[float]:
    return [row["accuracy"] for row in one["arms"][arm]]


def _columns(rows: list[list[float]]) -> list[dict[str, float]]:
    return [_interval(column) for column in zip(*rows, strict=True)]


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
        for arm in one["arms"]:
            cells = " | ".join(f"{accuracy:.3f}" for accuracy in _accuracies(one, arm))
            lines.append(f"| {one['seed']} | {arm} | {cells} |")
    lines += ["", "| mean of seeds | 1 | 2 | 3 | 4 |", "|---|---|---|---|---|"]
    for name, columns in summary(seeds).items():
        cells = " | ".join(f"{c['mean']:.3f} ± {c['interval']:.3f}" for c in columns)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Runs the loop's own arm for all seeds, then the controls; the file is written anew after each seed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loop_controls", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "baselines")
    options = parser.parse_args()
    torch.set_num_threads(1)
    schedule = Schedule()
    options.out.mkdir(parents=True, exist_ok=True)
    runs: list[SeedRun] = []
    for seed in range(options.seeds):
        runs.append(SeedRun(schedule, seed))
        runs[-1].run(ARMS[0])
        save(options.out, schedule, runs)
    for run in runs:
        for arm in ARMS[1:]:
            run.run(arm)
        save(options.out, schedule, runs)
    print(markdown([run.as_json() for run in runs]))


def save(folder: Path, schedule: Schedule, runs: list[SeedRun]) -> None:
    """Writes the baseline file named by the processor."""
    seeds = [run.as_json() for run in runs]
    report = {"schedule": asdict(schedule), "summary": summary(seeds), "seeds": seeds}
    (folder / f"loop_controls-{cpu_name()}.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
