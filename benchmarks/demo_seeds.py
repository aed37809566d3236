"""The demo over several seeds, whole system each time: held-out accuracy by iteration, and seconds.

In: `python -m benchmarks.demo_seeds --seeds 5`. Out: a JSON file named by the CPU, and a table in Markdown.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.hardware import cpu_name

ROOT = Path(__file__).parents[1]
BASELINES = Path(__file__).parent / "baselines"


def run_seed(seed: int) -> dict[str, Any]:
    """One demo from nothing, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="comd-demo-") as folder:
        began = time.monotonic()
        command = [sys.executable, "-m", "comd", "demo", "--seed", str(seed)]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - began
        summary = json.loads((Path(folder) / "runs" / "demo" / "summary.json").read_text())
    accuracies = [round(one["heldout_accuracy"], 4) for one in summary["iterations"]]
    shares = [one["accepted"] / one["difficult"] / 2 for one in summary["iterations"] if one["accepted"]]
    return {
        "seed": seed,
        "start": summary["start_accuracy"],
        "accuracy": accuracies,
        "accepted_share": [round(share, 3) for share in shares],
        "seconds": round(seconds),
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    lines = ["| seed | start | 1 | 2 | 3 | 4 | seconds |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        shown = " | ".join(f"{value:.3f}" for value in (row["start"], *row["accuracy"]))
        lines.append(f"| {row['seed']} | {shown} | {row['seconds']} |")
    columns = zip(*((row["start"], *row["accuracy"]) for row in rows), strict=True)
    means = " | ".join(f"{mean(column):.3f}" for column in columns)
    return "\n".join([*lines, f"| mean | {means} | {mean(row['seconds'] for row in rows):.0f} |"])


def main() -> None:
    """Runs all seeds; the file is written anew after each, so that an interrupted run leaves what it has."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    BASELINES.mkdir(exist_ok=True)
    for seed in range(options.seeds):
        rows.append(run_seed(seed))
        report = {"cpu": cpu_name(), "seeds": rows}
        (BASELINES / f"demo_seeds-{cpu_name()}.json").write_text(json.dumps(report, indent=1) + "\n")
        print(rows[-1], flush=True)
    print(markdown(rows))


if __name__ == "__main__":
    main()
