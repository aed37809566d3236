"""CPU milliseconds of one call from end to end: queue, worker, role service, database; everything but the engine.

In: `python -m benchmarks.whole_path --rounds 7`. Out: a JSON file named by the CPU, and two tables in Markdown: by
process and phase, and beside bare aiohttp, Curator and distilabel, which take turns with it at the same mock engine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from benchmarks.environments import python_with
from benchmarks.hardware import cpu_name
from benchmarks.roles import asked
from benchmarks.roles.processes import Processes
from benchmarks.roles.rows import BARE, DIRECT, Row, World, started, world
from benchmarks.system.stack import API_KEY, System
from benchmarks.training.turns import spread

ROOT = Path(__file__).parents[1]
QUESTIONS = 3  # of each picture; the paper has 2.75 instructions a picture
CALLS = {
    "teaching": QUESTIONS,
    "assessing": 3 * QUESTIONS,
}  # of the engine, of each picture: the judge is asked twice
SMALL = 20
PEER_ROWS = (64, 320)
PEERS = {"curator": ["bespokelabs-curator==0.1.31"], "distilabel": ["distilabel[openai]==1.5.3", "requests"]}
ALONE = {"curator"}  # its requirements do not go together with ours

Seconds = dict[str, dict[str, float]]  # by phase, then by process


def run_once(system: System, name: str, dataset: str, seed: int, pictures: int) -> Seconds:
    """CPU seconds of teaching and of assessment in a run of its own: its seed makes every request a new one."""
    began = system.cpu()
    run_id = system.begin(
        name, dataset, tau=1.0, seed=seed
    )  # tau 1: nothing is selected, and the run ends there
    system.wait_for(run_id, "training")
    taught = system.cpu()
    system.wait_for_job(run_id)
    handed_in = system.cpu()
    system.proceed()
    system.wait_for(run_id, "selecting")
    assessed = system.cpu()
    _check_calls(system, run_id, pictures)
    return {"teaching": _difference(taught, began), "assessing": _difference(assessed, handed_in)}


def _check_calls(system: System, run_id: str, pictures: int) -> None:
    """Whether all was asked, and once: else the division below would flatter or slander."""
    for phase, calls in CALLS.items():
        made = system.number("SELECT sum(calls) FROM calls WHERE run_id = %s AND phase = %s", run_id, phase)
        if made != calls * pictures:
            raise RuntimeError(f"{phase}: expected {calls * pictures} calls of the engine, got {made}")


def system_turn(system: System, number: int, pictures: int) -> Seconds:
    """Milliseconds a call by phase and process: what more pictures cost, so that starting a run does not count."""
    small = run_once(system, f"small {number}", "small", 2 * number, SMALL)
    large = run_once(system, f"large {number}", "large", 2 * number + 1, pictures)
    return {
        phase: {
            name: 1000 * (large[phase][name] - seconds) / (calls * (pictures - SMALL))
            for name, seconds in small[phase].items()
        }
        for phase, calls in CALLS.items()
    }


def peer_turn(python: Path, name: str, url: str, bodies: Path) -> float:
    """Milliseconds a row: what more rows cost, so that its start does not count."""
    few, many = (counted(python, name, url, bodies, rows) for rows in PEER_ROWS)
    return 1000 * (many - few) / (PEER_ROWS[1] - PEER_ROWS[0])


def counted(python: Path, name: str, url: str, bodies: Path, rows: int) -> float:
    """CPU seconds of the peer's script with all of its processes."""
    script = ROOT / "benchmarks" / "peers" / f"{name}_rows.py"
    command = [str(python), str(script), f"{url}/v1", str(bodies), str(rows)]
    counting = [sys.executable, "-m", "benchmarks.system.counted", *command]
    done = subprocess.run(counting, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])


def turns(here: World, system: System, options: argparse.Namespace) -> dict[str, Callable[[int], Any]]:
    """What takes turns, by name: each gives the milliseconds of a call."""
    bare = Row(BARE, started(here, DIRECT[BARE], f"{here.engine}/v1/chat/completions", "engine"))
    bodies = here.bodies["engine"].with_name("with-pictures.json")
    bodies.write_text(json.dumps(json.loads(here.bodies["engine"].read_text())["image"]))

    def aiohttp(_: int) -> float:
        bare.turn("image", options.calls)
        return bare.ms["image"][-1]

    def peer(name: str, python: Path) -> Callable[[int], float]:
        return lambda _: peer_turn(python, name, here.engine, bodies)

    found: dict[str, Callable[[int], Any]] = {
        "CoMD": lambda number: system_turn(system, number, options.size),
        BARE: aiohttp,
    }
    for name in PEERS if options.peers else ():
        python = python_with(options.peers.absolute() / name, PEERS[name], alone=name in ALONE)
        if isinstance(python, Path):
            found[name] = peer(name, python)
        else:
            print(f"without {name}: {python}", flush=True)
    return found


def measure(taking: dict[str, Callable[[int], Any]], rounds: int) -> dict[str, list[Any]]:
    """All in turn, in an order drawn anew each round; a first one, of those that live on, is not counted."""
    drawn, results = Random(0), {name: list[Any]() for name in taking}
    for number in range(rounds + 1):
        names = [name for name in taking if number or name not in PEERS]
        for name in drawn.sample(names, len(names)):
            began = time.perf_counter()
            result = taking[name](number)
            print(
                f"round {number}: {name} took {time.perf_counter() - began:.1f} s",
                file=sys.stderr,
                flush=True,
            )
            if number:
                results[name].append(result)
    return results


def summary(results: dict[str, list[Any]]) -> dict[str, Any]:
    """Medians by process, and everybody's milliseconds a call beside aiohttp's of the same round."""
    ours = results.pop("CoMD")
    by_process = {
        phase: {name: round(median(one[phase][name] for one in ours), 4) for name in ours[0][phase]}
        for phase in CALLS
    }
    everybody = {f"CoMD, {phase}": [sum(one[phase].values()) for one in ours] for phase in CALLS}
    everybody["CoMD"] = [
        sum(calls * sum(one[phase].values()) for phase, calls in CALLS.items()) / sum(CALLS.values())
        for one in ours
    ]
    everybody |= results
    return {
        "by_process_ms": by_process,
        "ms": {name: spread(ms) for name, ms in everybody.items()},
        "over_aiohttp": {
            name: spread([a / b for a, b in zip(ms, results[BARE], strict=True)])
            for name, ms in everybody.items()
        },
    }


def markdown(found: dict[str, Any]) -> str:
    lines = ["| process | teaching, ms | share | assessing, ms | share |", "|---|---|---|---|---|"]
    phases = found["by_process_ms"]
    totals = {phase: sum(phases[phase].values()) for phase in CALLS}
    for name in phases["teaching"]:
        cells = (f"{phases[phase][name]:.2f} | {phases[phase][name] / totals[phase]:.0%}" for phase in CALLS)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", f"| | ms a call | over {BARE} |", "|---|---|---|"]
    for name, ms in found["ms"].items():
        lines.append(f"| {name} | {shown(ms)} | {shown(found['over_aiohttp'][name])} |")
    return "\n".join(lines)


def shown(one: dict[str, float]) -> str:
    return "{median:.2f} ({min:.2f} - {max:.2f})".format(**one)


def _difference(after: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    return {name: seconds - before[name] for name, seconds in after.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=220, help="pictures of the larger run")
    parser.add_argument("--calls", type=int, default=512, help="of bare aiohttp, in a turn")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--peers", type=Path, default=Path("runs/bench-roles"), help="their environments")
    parser.add_argument("--without-peers", dest="peers", action="store_const", const=None)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="comd-path-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres may run as another user
        with Processes(folder / "log", {"COMD_API_KEY": API_KEY}) as processes:
            here = world(processes, folder)
            engines = dict.fromkeys(("teacher", "assessor", "student"), here.engine)
            with System(folder, engines, options.workers) as system:
                system.register("small", range(SMALL), QUESTIONS)
                system.register("large", range(options.size), QUESTIONS)
                found = summary(measure(turns(here, system, options), options.rounds))
    sizes = {"rounds": options.rounds, "pictures": [SMALL, options.size], "questions": QUESTIONS}
    picture_bytes = median(len(asked.picture(number)) for number in range(asked.BODIES))
    about = {"cpu": cpu_name(), "cores": os.cpu_count(), "load_before": round(load, 2), **sizes}
    report = {**about, "workers": options.workers, "picture_bytes": picture_bytes, **found}
    file = Path(__file__).parent / "baselines" / f"whole_path-{cpu_name()}.json"
    file.write_text(json.dumps(report, indent=1) + "\n")
    print(markdown(found))


if __name__ == "__main__":
    main()
