"""The long form of the fault tests: `make chaos`, or `python -m tests.chaos --kinds workers,disks --share 0.2`.

Out: a line for every kind as its run ends, a table, and with `--json` all of it in a file. Exit status 1 where a
run did not end as the undisturbed one.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.hardware import cpu_name
from tests.chaos import kills, oddities, outages, trial
from tests.chaos.ledger import Strike
from tests.chaos.scene import Played
from tests.chaos.site import Site
from tests.chaos.trial import Disturbance, Verdict

HOUR_S = 3600.0
BROKEN_PICTURES = 200
COLUMNS = ("kind", "disturbances", "equal", "repeated", "in flight", "seconds", "back in s, at most")

Count = Callable[[int], int]


def disturbances(count: Count) -> dict[str, Disturbance]:
    """What the sound engine and sound pictures meet; `count` makes the whole numbers smaller."""
    return {
        "workers": Disturbance("workers", [kills.kill_workers(count(50))], slow_s=0.6, num_workers=3),
        "coordinators": Disturbance(
            "coordinators", [kills.kill_coordinators(count(30))], slow_s=0.6, num_coordinators=2
        ),
        "boundaries": Disturbance("boundaries", [kills.kill_at_boundaries()], slow_s=0.1),
        "redis": Disturbance(
            "redis", [outages.flush_redis(count(10)), outages.kill_redis(count(5))], slow_s=0.4
        ),
        "postgres": Disturbance(
            "postgres", [outages.stop_postgres(count(5)), outages.kill_postgres(count(5))], slow_s=0.5
        ),
        "trainer": Disturbance("trainer", [kills.kill_trainer(count(5))]),
        "deliveries": Disturbance("deliveries", [oddities.deliver_twice_and_shuffled], slow_s=0.2),
        "disks": Disturbance("disks", [outages.fill_database(count(3)), outages.fill_trainer(1)], slow_s=0.3),
        "times": Disturbance("times", [oddities.stop_worker(5)], slow_s=0.4, clocks_off_s=(HOUR_S,)),
    }


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and mounts go, too
    count: Count = lambda whole: max(1, round(whole * options.share))  # noqa: E731
    wanted = disturbances(count)
    kinds = options.kinds.split(",") if options.kinds else [*wanted, "engine"]
    if unknown := set(kinds) - {*wanted, "engine"}:
        raise SystemExit(f"unknown kinds {sorted(unknown)}; there are {', '.join([*wanted, 'engine'])}")
    folder = Path(tempfile.mkdtemp(prefix="comd-chaos-"))
    folder.chmod(0o755)  # Postgres may run as another user
    print(f"seed {options.seed}, {options.pictures} pictures, logs in {folder}", flush=True)
    with Site(folder, num_pictures=options.pictures) as site:
        rows = _sound(site, [wanted[kind] for kind in kinds if kind != "engine"], options.seed)
        if "engine" in kinds:
            rows.append(_engine(site, count(BROKEN_PICTURES), options))
    if not any(row["failure"] for row in rows):
        shutil.rmtree(folder, ignore_errors=True)
    print(_table(rows))
    if options.json:
        told = {"processor": cpu_name(), "cores": os.cpu_count(), "seed": options.seed, "runs": rows}
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    sys.exit(any(row["failure"] for row in rows))


def _sound(site: Site, chosen: list[Disturbance], seed: int) -> list[dict[str, Any]]:
    if not chosen:
        return []
    configuration = trial.plain(site)
    reference = trial.undisturbed(site, configuration)
    return [
        _row(one.name, lambda one=one: trial.disturbed(site, configuration, one, reference, seed), reference)  # type: ignore[misc]
        for one in chosen
    ]


def _engine(site: Site, num_broken: int, options: argparse.Namespace) -> dict[str, Any]:
    configuration = trial.with_broken_pictures(site, options.pictures, num_broken)
    reference = trial.undisturbed(site, configuration)
    faulty = Disturbance("engine and pictures", faults=trial.ENGINE_FAULTS)
    play = lambda: trial.disturbed(site, configuration, faulty, reference, options.seed)  # noqa: E731
    return {**_row(faulty.name, play, reference), "broken_pictures": num_broken}


def _row(name: str, play: Callable[[], Verdict], reference: Played) -> dict[str, Any]:
    """What is told of a run; a run that does not end is told, too."""
    try:
        verdict = play()
    except AssertionError as error:
        row = {"kind": name, "failure": str(error)}
    else:
        row = _told(verdict, reference)
    print(json.dumps({key: value for key, value in row.items() if key != "strikes"}), flush=True)
    return row


def _told(verdict: Verdict, reference: Played) -> dict[str, Any]:
    played, failure = verdict.played, ""
    try:
        verdict.check()
    except AssertionError as error:
        failure = str(error)
    new_faults = Counter(played.calls["faults"])
    new_faults.subtract(reference.calls["faults"])
    return {
        "kind": verdict.name,
        "failure": failure,
        "disturbances": dict(verdict.strikes) or {key: num for key, num in new_faults.items() if num},
        "unfinished": played.unfinished,
        "calls": played.calls["total"],
        "repeated": verdict.repeated,
        "in_flight": verdict.in_flight,
        "seconds": round(played.seconds, 1),
        "undisturbed_seconds": round(reference.seconds, 1),
        "back_s": [strike.back_s for strike in played.strikes if strike.back_s is not None],
        "strikes": [_shown(strike) for strike in played.strikes if "delivered" not in strike.kind],
    }


def _shown(strike: Strike) -> dict[str, Any]:
    return {name: value for name, value in asdict(strike).items() if name != "kept"}


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [COLUMNS, ("---",) * len(COLUMNS)]
    for row in rows:
        done = ", ".join(f"{num} x {kind}" for kind, num in row.get("disturbances", {}).items())
        equal = "no: " + row["failure"] if row["failure"] else "yes"
        numbers = [row.get(name, "") for name in ("repeated", "in_flight", "seconds")]
        lines.append((row["kind"], done, equal, *map(str, numbers), str(max(row.get("back_s") or [""]))))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kinds", default="", help="a comma between them; default: all")
    parser.add_argument("--share", type=float, default=1.0, help="of the disturbances of each kind")
    parser.add_argument("--pictures", type=int, default=100, help="of the data set, two questions each")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments and victims")
    parser.add_argument("--json", type=Path, help="where the results go")
    return parser.parse_args()


if __name__ == "__main__":
    main()
