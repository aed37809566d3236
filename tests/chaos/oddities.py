"""Acts of delivery and time: messages twice and out of order, a worker that stood still."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import redis

from tests.chaos.kills import busy_workers
from tests.chaos.scene import Act, Scene

TWICE, LATER = 0.2, 0.3  # shares of the messages
AGAIN = b"again"  # marks what was put in by us


def deliver_twice_and_shuffled(scene: Scene) -> Iterator[None]:
    """A fifth of all tasks a second time; others are taken out of the queue and put in again behind the rest."""
    seen = "0"
    with redis.Redis.from_url(scene.site.redis_url) as client:
        while True:
            yield
            with suppress(redis.RedisError):  # it is being killed by another act
                seen = _disturb_new(scene, client, seen)


def _disturb_new(scene: Scene, client: "redis.Redis", seen: str) -> str:
    """The id of the newest message that was looked at."""
    stream = scene.deployment.env["COMD_COORDINATOR_QUEUE_NAME"]
    for id_, fields in client.xrange(stream, min=f"({seen}"):  # type: ignore[union-attr]
        seen = id_.decode()
        chance = 1.0 if fields.get(AGAIN) else scene.rng.random()
        if chance >= TWICE + LATER:
            continue
        if chance < TWICE:
            scene.begin_strike("delivered twice")  # has no end: no call in flight may be repeated for it
        else:
            scene.begin_strike("delivered out of order")
            client.xdel(stream, id_)
        client.xadd(stream, {**fields, AGAIN: b"1"})
    return seen


def stop_worker(leases: float) -> Act:
    """One that is at work stands still for so many leases, and then goes on as if nothing had happened."""

    def worker_stood_still(scene: Scene) -> Iterator[None]:
        yield from scene.until_share(scene.rng.uniform(0.05, 0.2))
        while not (busy := busy_workers(scene)):
            yield
        process = scene.rng.choice(busy).process
        assert process is not None
        strike = scene.begin_strike("worker stood still")
        os.kill(process.pid, signal.SIGSTOP)
        scene.end_strike(strike)
        yield from scene.wait(leases * float(scene.settings["lease_s"]))
        os.kill(process.pid, signal.SIGCONT)

    return worker_stood_still
