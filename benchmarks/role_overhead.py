"""CPU milliseconds that a role service adds to a call, beside what the call costs clients without one.

In: `python -m benchmarks.role_overhead`. Out: a JSON file named by the CPU, and a table in Markdown. All call the
same mock engine, 32 at once, in turns; each process's CPU time is counted apart.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from benchmarks.hardware import cpu_name
from benchmarks.roles import asked
from benchmarks.roles.client import AT_ONCE
from benchmarks.roles.processes import Processes
from benchmarks.roles.rows import BARE, MODES, Row, assessor_row, direct_rows, peer_rows, teacher_row, world
from benchmarks.training.turns import spread

BASELINES = Path(__file__).parent / "baselines"
KEYS = {"COMD_API_KEY": "benchmark", "COMD_INTERNAL_KEY": "benchmark-internal"}


def measure(compared: Sequence[Row], rounds: int, count: int) -> None:
    """Every row in turn; a first round of half the calls is not counted.

    Each round has an order of its own: who comes after an idle moment pays for cold caches, up to a tenth.
    """
    drawn = Random(0)
    for number in range(rounds + 1):
        for mode in MODES:
            for row in drawn.sample(compared, len(compared)):
                row.turn(mode, count if number else count // 2, counted=number > 0)


def summary(compared: Sequence[Row]) -> dict[str, Any]:
    """By row and mode: milliseconds, and the ratio to bare aiohttp of the same round."""
    bare = next(row for row in compared if row.name == BARE)
    return {
        row.name: {
            mode: {
                "ms": spread(row.ms[mode]),
                "caller_ms": spread(row.caller_ms[mode]) if row.service else None,
                "over_aiohttp": spread([a / b for a, b in zip(row.ms[mode], bare.ms[mode], strict=True)]),
            }
            for mode in MODES
        }
        for row in compared
    }


def markdown(results: dict[str, Any]) -> str:
    lines = [f"| | text, ms | image, ms | text, over {BARE} | image, over {BARE} | its caller, ms |"]
    lines.append("|---|---|---|---|---|---|")
    for name, by_mode in results.items():
        quoted = [shown(by_mode[mode][key]) for key in ("ms", "over_aiohttp") for mode in MODES]
        callers = [by_mode[mode]["caller_ms"] for mode in MODES]
        caller = " / ".join(f"{one['median']:.2f}" for one in callers if one)
        lines.append(f"| {name} | {' | '.join(quoted)} | {caller} |")
    return "\n".join(lines)


def shown(one: dict[str, float]) -> str:
    return "{median:.2f} ({min:.2f} - {max:.2f})".format(**one)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--calls", type=int, default=192, help="of the engine, in a turn")
    parser.add_argument("--peers", type=Path, default=Path("runs/bench-roles"), help="their environments")
    options = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="comd-overhead-") as name:
        folder = Path(name)
        with Processes(folder / "log", KEYS) as processes:
            here = world(processes, folder)
            compared = [*direct_rows(here), *peer_rows(here, options.peers.absolute())]
            compared += [teacher_row(here), assessor_row(here)]
            measure(compared, options.rounds, options.calls)
    results = summary(compared)
    about = {"cpu": cpu_name(), "cores": os.cpu_count(), "rounds": options.rounds, "calls": options.calls}
    picture_bytes = median(len(asked.picture(number)) for number in range(asked.BODIES))
    report = {**about, "at_once": AT_ONCE, "picture_bytes": picture_bytes, "clients": results}
    (BASELINES / f"role_overhead-{cpu_name()}.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"{time.perf_counter() - began:.0f} s\n{markdown(results)}")


if __name__ == "__main__":
    main()
