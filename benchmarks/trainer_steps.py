"""Steps per second of the trainer's program against a bare PyTorch loop that does the same work, paired by turns.

In: `python -m benchmarks.trainer_steps`. Out: a JSON file named by the CPU, and a table in Markdown.
"""

import argparse
import json
import os
import tempfile
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.hardware import cpu_name
from benchmarks.training import jobs, student, turns
from benchmarks.training.student import Geometry
from services.trainer.launch.warm import warm_up
from services.trainer.plan import Plan

BASELINES = Path(__file__).parent / "baselines"
BATCH, TURN, LEFT_OUT = 16, 5, 3  # records a step, steps a turn, first turns not counted
SIZES = {"demo": (student.DEMO, 300), "demo x 13": (student.DEMO_TIMES_13, 60)}
MEAN_TOKENS = 65  # of the demo's records


def lengths(number: int) -> list[int]:
    """About as the demo's: from 40 to 90 tokens."""
    rng = Random("lengths")
    return [rng.randint(40, 2 * MEAN_TOKENS - 40) for _ in range(number)]


def ours(plan: Plan, side: turns.Turns) -> None:
    """The program of a job; the only addition is a callback that takes turns."""
    import transformers.trainer
    from transformers import TrainerCallback

    from services.trainer.training import program

    class TakesTurns(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            side.begin()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            side.step()

    transformers.trainer.DEFAULT_CALLBACKS.append(TakesTurns)
    program.main(jobs.arguments(plan))


def bare(plan: Plan, side: turns.Turns) -> None:
    from benchmarks.training.bare_loop import train

    losses = train(plan, side.begin, side.step)
    (plan.folder / "losses.json").write_text(json.dumps(losses))


def measure(folder: Path, geometry: Geometry, steps: int) -> dict[str, Any]:
    """Both programs on the same prepared records, in turns; their losses must agree."""
    student.make(folder / "student", geometry)
    jobs.write_data(folder, geometry, lengths(BATCH * steps))
    plan = jobs.plan(folder, "ours", batch_size=BATCH)
    jobs.prepare(plan)
    other = plan.model_copy(update={"folder": folder / "bare"})
    other.folder.mkdir()
    other.prepared.symlink_to(plan.prepared)
    one, two = turns.pair(TURN, steps, plan.folder / "turns.json", other.folder / "turns.json")
    jobs.forked([partial(ours, plan, one), partial(bare, other, two)], together=False)
    result = turns.compared(one.results, two.results, LEFT_OUT)
    return {"steps": steps, **result, "largest_loss_difference": agreement(plan, other)}


def agreement(plan: Plan, other: Plan) -> float:
    """The largest difference between two losses of a step. AssertionError where it was not the same work."""
    lines = [json.loads(line) for line in plan.progress.read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["kind"] == "step"]
    expected = json.loads((other.folder / "losses.json").read_text())
    differences: list[float] = [abs(a - b) for a, b in zip(losses, expected, strict=True)]
    assert max(differences) < 1e-3, f"the losses differ by up to {max(differences)}: not the same work"
    return max(differences)


def markdown(results: dict[str, dict[str, Any]]) -> str:
    lines = [
        "| student | turns | steps/s, ours over bare | by CPU seconds | losses differ by |",
        "|---|---|---|---|---|",
    ]
    for name, row in results.items():
        shown = [
            "{median:.3f} ({min:.3f} - {max:.3f})".format(**row[key]) for key in ("wall_ratio", "cpu_ratio")
        ]
        lines.append(
            f"| {name} | {row['turns']} | {' | '.join(shown)} | {row['largest_loss_difference']:.1e} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, action="append", help="default: all")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    warm_up()
    results = {}
    for name in options.size or SIZES:
        with tempfile.TemporaryDirectory(prefix="comd-steps-") as folder:
            results[name] = measure(Path(folder), *SIZES[name])
        print(name, results[name], flush=True)
    if not options.size:
        report = json.dumps({"cpu": cpu_name(), "turn_steps": TURN, "sizes": results}, indent=1)
        (BASELINES / f"trainer_steps-{cpu_name()}.json").write_text(report + "\n")
    print(markdown(results))


if __name__ == "__main__":
    main()
