"""Time from a kill to full throughput again, in leases: `python -m benchmarks.recovery --lease-s 5`.

In: the whole system on this machine, with an engine that takes a constant time for every reply, so that the machine
is not the limit. Out: for a worker, the coordinator, Redis and Postgres the seconds until results are committed at
90 % of the rate before, in a table and in benchmarks/baselines.
"""

import argparse
import json
import os
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from benchmarks.hardware import cpu_name
from comd.stack.children import Child
from tests.chaos.kills import kill
from tests.chaos.scene import Act, Scene
from tests.chaos.site import Site

BASELINES = Path(__file__).parent / "baselines"
FULL = 0.9  # of the rate before
WINDOW_S = 5.0  # over which a rate is counted
CALM_S = 6.0  # nothing happens for so long, and for as long again the rate before is counted
PATIENCE_LEASES = 6.0
KINDS = ("worker", "coordinator", "redis", "postgres")


@dataclass
class Recovery:
    """One kill: rates in results a second."""

    kind: str
    rate_before: float
    seconds: float | None = None  # None: not within PATIENCE_LEASES
    leases: float | None = None
    tasks_back_s: float | None = None  # until all that the killed worker held are done by somebody


def kill_and_wait(kinds: tuple[str, ...], lease_s: float, found: list[Recovery]) -> Act:
    def killing(scene: Scene) -> Iterator[None]:
        yield from scene.wait_until(lambda: scene.phase == "1 teaching")
        for kind in kinds:
            yield from scene.wait(CALM_S)
            began, before = time.monotonic(), num_kept(scene)
            yield from scene.wait(CALM_S)
            rate = (num_kept(scene) - before) / (time.monotonic() - began)
            found.append(recovery := Recovery(kind, round(rate, 1)))
            child = victim(scene, kind)
            held = held_by(scene, child)
            kill(child)
            yield from until_full(scene, recovery, held, lease_s)
            print(json.dumps(asdict(recovery)), flush=True)

    return killing


def num_kept(scene: Scene) -> int:
    return sum(scene.ledger.kept().values())


def until_full(scene: Scene, recovery: Recovery, held: str, lease_s: float) -> Iterator[None]:
    """Full again is the beginning of the first window in which the rate is full."""
    began = time.monotonic()
    seen = deque([(began, num_kept(scene))])
    while (passed := time.monotonic() - began) < PATIENCE_LEASES * lease_s:
        yield
        now = (time.monotonic(), num_kept(scene))
        seen.append(now)
        while len(seen) > 2 and now[0] - seen[1][0] >= WINDOW_S:
            seen.popleft()
        first = seen[0]
        is_full = now[1] - first[1] >= FULL * recovery.rate_before * WINDOW_S
        if recovery.seconds is None and now[0] - first[0] >= WINDOW_S and is_full:
            recovery.seconds = round(first[0] - began, 2)
            recovery.leases = round(recovery.seconds / lease_s, 2)
        if held and recovery.tasks_back_s is None and scene.ledger.ask(held) == (0,):
            recovery.tasks_back_s = round(passed, 2)
        if recovery.seconds is not None and (not held or recovery.tasks_back_s is not None):
            return


def held_by(scene: Scene, child: Child) -> str:
    """A query for the number of tasks open among those that a worker holds now; empty for other children."""
    if child not in scene.workers or child.process is None:
        return ""
    owner = f"%-{child.process.pid}-%"
    row = scene.ledger.ask(
        f"SELECT array_agg(image) FROM tasks WHERE state = 'leased' AND owner LIKE '{owner}'"
    )
    images = ", ".join(f"'{image}'" for image in (row and row[0]) or ())
    return f"SELECT count(*) FROM tasks WHERE state <> 'done' AND image IN ({images})" if images else ""


def victim(scene: Scene, kind: str) -> Child:
    return {
        "worker": scene.workers[0],
        "coordinator": scene.coordinators[0],
        "redis": scene.site.redis,
        "postgres": scene.site.postgres,
    }[kind]


def measure(options: argparse.Namespace, folder: Path) -> list[Recovery]:
    found: list[Recovery] = []
    with Site(folder, num_pictures=options.pictures, timeout_s=60.0) as site:
        scene = Scene(
            site,
            "recovery",
            Random(0),
            lease_s=options.lease_s,
            concurrency=8,
            published_at_once=64,
            tick_s=0.2,
        )
        try:
            scene.start(num_workers=2)
            scene.deployment.import_world(site.lab.folder / "data")
            site.lab.set_faults([{"kind": "slow", "seconds": options.reply_s}])
            scene.deployment.start_run(trainings=1)
            playing = kill_and_wait(KINDS, options.lease_s, found)(scene)
            while next(playing, scene) is not scene:
                scene.watch()
                scene.look()
                time.sleep(0.05)
                assert scene.phase != "1 training", "give more --pictures: teaching is over"
        finally:
            scene.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("--lease-s", type=float, default=5.0)
    parser.add_argument(
        "--pictures", type=int, default=1500, help="two questions each; more for a longer lease"
    )
    parser.add_argument("--reply-s", type=float, default=1.0, help="the engine's time for a reply")
    options = parser.parse_args()
    load = os.getloadavg()
    folder = Path(tempfile.mkdtemp(prefix="comd-recovery-"))
    folder.chmod(0o755)
    found = measure(options, folder)
    told = {
        "processor": cpu_name(),
        "cores": os.cpu_count(),
        "load_before_and_after": [round(load[0], 1), round(os.getloadavg()[0], 1)],
        "lease_s": options.lease_s,
        "reply_s": options.reply_s,
        "recoveries": [asdict(one) for one in found],
    }
    path = BASELINES / f"recovery-{cpu_name()}.json"
    path.write_text(json.dumps(told, indent=1) + "\n")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
