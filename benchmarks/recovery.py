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
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

from benchmarks.hardware import cpu_name
from comd.stack.children import Child
from tests.chaos.kills import kill
from tests.chaos.scene import Act, Scene
from tests.chaos.site import Site

BASELINES = Path(__file__).parent / "baselines"
FULL = 0.9  # of the rate before
WINDOW_S = 2.0  # over which a rate is counted
CALM_S = 8.0  # before each kill; its last half is the rate before
PATIENCE_LEASES = 6.0
KINDS = ("worker", "coordinator", "redis", "postgres")


@dataclass
class Recovery:
    """One kill: rates in results a second."""

    kind: str
    rate_before: float
    seconds: float | None = None  # None: not within PATIENCE_LEASES
    leases: float | None = None
    lost_results: float = 0.0  # that would have been committed at the rate before


@dataclass
class Rate:
    """Results in the database over the last while."""

    scene: Scene
    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def look(self, over_s: float = WINDOW_S) -> float:
        now, num = time.monotonic(), sum(self.scene.ledger.kept().values())
        self._seen.append((now, num))
        while len(self._seen) > 2 and now - self._seen[1][0] >= over_s:
            self._seen.popleft()
        first_at, first = self._seen[0]
        return (num - first) / (now - first_at) if now > first_at else 0.0

    def forget(self) -> None:
        self._seen.clear()


def kill_and_wait(kinds: tuple[str, ...], lease_s: float, found: list[Recovery]) -> Act:
    def killing(scene: Scene) -> Iterator[None]:
        yield from scene.wait_until(lambda: scene.phase == "1 teaching")
        for kind in kinds:
            before = yield from calm_rate(scene)
            found.append(recovery := Recovery(kind, round(before, 1)))
            began, kept = time.monotonic(), sum(scene.ledger.kept().values())
            kill(victim(scene, kind))
            yield from until_full(scene, recovery, began, lease_s)
            seconds = recovery.seconds or PATIENCE_LEASES * lease_s
            lost = before * seconds - (sum(scene.ledger.kept().values()) - kept)
            recovery.lost_results = round(max(0.0, lost), 1)
            print(json.dumps(asdict(recovery)), flush=True)

    return killing


def calm_rate(scene: Scene) -> Generator[None, None, float]:
    """Nothing is disturbed for a while; the value is the rate of its last half."""
    yield from scene.wait(CALM_S / 2)
    rate = Rate(scene)
    ends = time.monotonic() + CALM_S / 2
    now = 0.0
    while time.monotonic() < ends:
        now = rate.look(CALM_S)
        yield
    return now


def until_full(scene: Scene, recovery: Recovery, began: float, lease_s: float) -> Iterator[None]:
    """The rate is back at the end of the first window in which it is full."""
    rate = Rate(scene)
    while (passed := time.monotonic() - began) < PATIENCE_LEASES * lease_s:
        yield
        if rate.look() >= FULL * recovery.rate_before and passed >= WINDOW_S:
            recovery.seconds = round(time.monotonic() - began, 2)
            recovery.leases = round(recovery.seconds / lease_s, 2)
            return


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
