"""What batches of like length save: padding share and tokens per second with and without, paired by turns.

In: `python -m benchmarks.padding`. Out: a JSON file named by the CPU, and a table in Markdown.
"""

import argparse
import json
import math
import os
import tempfile
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.hardware import cpu_name
from benchmarks.trainer_steps import BASELINES, BATCH, ours
from benchmarks.training import jobs, student, turns
from comd.student_base.vocabulary import tokenizer
from comd.world.dataset import seed_questions
from comd.world.grammar import answer
from comd.world.scene import random_scene_of
from services.trainer.launch.warm import warm_up
from services.trainer.training.order import epoch_order, padding_share
from services.trainer.training.prepared import Examples

STEPS, EPOCHS = 40, 6  # a turn is an epoch: the same tokens in each
MIN_TOKENS, MAX_TOKENS = 16, 500


def log_normal(number: int) -> list[int]:
    """As dialogues are in the wild: median 100 tokens, most from 30 to 330."""
    rng = Random("log-normal")
    drawn = (rng.lognormvariate(math.log(100), 0.6) for _ in range(number))
    return [min(max(round(length), MIN_TOKENS), MAX_TOKENS) for length in drawn]


def demo(number: int) -> list[int]:
    """The demo's own first records: a picture's four tokens and one to three questions with their answers."""
    rng, words = Random("demo"), tokenizer()
    lengths = []
    for _ in range(number):
        scene = random_scene_of(rng, heldout=False)
        asked = seed_questions(scene, rng.randint(1, 3), rng)
        texts = [f"{question} {answer(query, scene)}" for query, question in asked]
        lengths.append(4 + sum(len(words(text)["input_ids"]) + 3 for text in texts))
    return lengths


LENGTHS = {"log-normal": log_normal, "the demo's": demo}


def shares(lengths: list[int]) -> tuple[float, float]:
    """Padding with the order that a job takes, and in chance order."""
    order = epoch_order(lengths, BATCH, 1, 0)
    chance = Random("chance").sample(range(len(lengths)), len(lengths))
    return padding_share(lengths, order, BATCH), padding_share(lengths, chance, BATCH)


def measure(folder: Path, lengths: list[int]) -> dict[str, Any]:
    """The same job with and without. A turn is an epoch, so tokens per second go as turns per second."""
    geometry = student.DEMO
    student.make(folder / "student", geometry)
    jobs.write_data(folder, geometry, lengths)
    plan = jobs.plan(folder, "grouped", batch_size=BATCH, n_epochs=EPOCHS)
    jobs.prepare(plan)
    grouped, chance = shares(Examples(plan.prepared).lengths)
    other = plan.model_copy(update={"folder": folder / "chance", "group_by_length": False})
    other.folder.mkdir()
    other.prepared.symlink_to(plan.prepared)
    one, two = turns.pair(STEPS, STEPS * EPOCHS, folder / "one.json", folder / "two.json")
    jobs.forked([partial(ours, plan, one), partial(ours, other, two)], together=False)
    compared = turns.compared(one.results, two.results, 0)
    ratios = {"wall_ratio": compared["wall_ratio"], "cpu_ratio": compared["cpu_ratio"]}
    mean = sum(lengths) / len(lengths)
    return {
        "mean_tokens": round(mean, 1),
        "padding": round(grouped, 4),
        "by_chance": round(chance, 4),
        **ratios,
    }


def markdown(results: dict[str, dict[str, Any]]) -> str:
    head = "| lengths | mean tokens | padding | in chance order | tokens/s, grouped over chance | by CPU seconds |"
    lines = [head, "|---|---|---|---|---|---|"]
    for name, row in results.items():
        shown = [
            "{median:.2f} ({min:.2f} - {max:.2f})".format(**row[key]) for key in ("wall_ratio", "cpu_ratio")
        ]
        shares_shown = f"{row['padding']:.1%} | {row['by_chance']:.1%}"
        lines.append(f"| {name} | {row['mean_tokens']:.0f} | {shares_shown} | {' | '.join(shown)} |")
    return "\n".join(lines)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    warm_up()
    results = {}
    for name, lengths in LENGTHS.items():
        with tempfile.TemporaryDirectory(prefix="comd-padding-") as folder:
            results[name] = measure(Path(folder), lengths(BATCH * STEPS))
        print(name, results[name], flush=True)
    report = json.dumps({"cpu": cpu_name(), "batch_size": BATCH, "lengths": results}, indent=1)
    (BASELINES / f"padding-{cpu_name()}.json").write_text(report + "\n")
    print(markdown(results))


if __name__ == "__main__":
    main()
