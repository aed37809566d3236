"""Acts on the servers: Redis emptied or killed, Postgres stopped, killed or without disk, a trainer without disk.

Without Redis workers go on with what they have, so that no call may be repeated for it.
"""

import time
from collections.abc import Iterator

import httpx
import redis

from tests.chaos.kills import kill
from tests.chaos.ledger import Strike
from tests.chaos.scene import Act, Scene
from tests.doubles.lab import API_KEY

FULL_S = 3.0
LEAST_LOST = 3
LAST_LOST = 0.6  # of the run: later phases have too few tasks to lose any
PUBLISHED = "SELECT count(*) FROM tasks WHERE state = 'published'"
NO_SPACE = "No space left on device"


def flush_redis(times: int) -> Act:
    def redis_flushed(scene: Scene) -> Iterator[None]:
        for share in scene.random_shares(times, last=LAST_LOST):
            yield from scene.until_share(share)
            yield from scene.wait_until(lambda: has_messages(scene))
            scene.begin_strike("Redis flushed")
            with redis.Redis.from_url(scene.site.redis_url) as client:
                client.flushall()
            yield

    return redis_flushed


def has_messages(scene: Scene) -> bool:
    """Whether an emptied Redis would lose tasks that nobody has yet."""
    return (scene.ledger.ask(PUBLISHED) or (0,))[0] >= LEAST_LOST and scene.site.redis_answers()


def kill_redis(times: int) -> Act:
    """It comes back empty."""

    def redis_killed(scene: Scene) -> Iterator[None]:
        for share in scene.random_shares(times, last=LAST_LOST):
            yield from scene.until_share(share)
            yield from scene.wait_until(lambda: has_messages(scene))
            scene.begin_strike("Redis killed")
            scene.hold_down(scene.site.redis)
            kill(scene.site.redis)
            yield from scene.wait(scene.rng.uniform(0.0, 2.0) * float(scene.settings["lease_s"]))
            scene.let_up(scene.site.redis)

    return redis_killed


def stop_postgres(times: int) -> Act:
    """In good order: every connection is told."""

    def postgres_stopped(scene: Scene) -> Iterator[None]:
        for share in scene.random_shares(times):
            yield from scene.until_share(share)
            yield from scene.wait_until(scene.site.postgres_answers)
            strike = scene.begin_strike("Postgres stopped")
            scene.hold_down(scene.site.postgres)
            scene.site.postgres.ask_to_stop()
            yield from scene.wait_until(lambda: scene.site.postgres.exit_status is not None)
            yield from scene.wait(scene.rng.uniform(0.0, 3.0))
            yield from _back(scene, strike)

    return postgres_stopped


def kill_postgres(times: int) -> Act:
    """The postmaster alone: its children find out by themselves."""

    def postgres_killed(scene: Scene) -> Iterator[None]:
        for share in scene.random_shares(times):
            yield from scene.until_share(share)
            yield from scene.wait_until(scene.site.postgres_answers)
            strike = scene.begin_strike("postmaster killed")
            kill(scene.site.postgres)
            yield from _back(scene, strike)

    return postgres_killed


def fill_database(times: int) -> Act:
    """Not a byte is left for some seconds; the test fails where Postgres did not notice."""

    def database_disk_full(scene: Scene) -> Iterator[None]:
        log = scene.site.postgres.log
        for share in scene.random_shares(times):
            yield from scene.until_share(share)
            yield from scene.wait_until(scene.site.postgres_answers)
            before = log.read_text(errors="replace").count(NO_SPACE)
            strike = scene.begin_strike("disk full under Postgres")
            scene.site.database_volume.fill()
            yield from scene.wait_until(lambda n=before: log.read_text(errors="replace").count(NO_SPACE) > n)  # type: ignore[misc]
            yield from scene.wait(FULL_S)
            scene.site.database_volume.free()
            yield from _back(scene, strike)

    return database_disk_full


def fill_trainer(times: int) -> Act:
    """Under the checkpoint folder in the middle of a job: it pauses, and is resumed when there is room."""

    def checkpoint_disk_full(scene: Scene) -> Iterator[None]:
        for _ in range(times):
            yield from scene.wait_until(lambda: scene.phase.endswith(" training") and _job(scene, "running"))
            strike = scene.begin_strike("disk full under the checkpoints")
            scene.site.trainer_volume.fill()
            yield from scene.wait_until(lambda: _job(scene, "paused"))
            scene.site.trainer_volume.free()
            headers = {"authorization": f"Bearer {API_KEY}"}
            url = f"{scene.site.lab.url('trainer')}/v1/fine_tuning/jobs/{_job(scene, 'paused')}/resume"
            httpx.post(url, headers=headers, trust_env=False).raise_for_status()
            scene.end_strike(strike)

    return checkpoint_disk_full


def _back(scene: Scene, strike: Strike) -> Iterator[None]:
    """Postgres answers again, and after that a new result comes: how long that took."""
    scene.let_up(scene.site.postgres)
    yield from scene.wait_until(scene.site.postgres_answers)
    scene.end_strike(strike)
    answered, kept = time.monotonic(), sum(scene.ledger.kept().values())
    phase = scene.phase
    yield from scene.wait_until(lambda: sum(scene.ledger.kept().values()) > kept or scene.phase != phase)
    strike.back_s = round(time.monotonic() - answered, 2)


def _job(scene: Scene, status: str) -> str | None:
    """The newest iteration's job at the trainer, where it has this status."""
    row = scene.ledger.ask("SELECT job_id FROM iterations ORDER BY number DESC LIMIT 1")
    if row is None or row[0] is None:
        return None
    headers = {"authorization": f"Bearer {API_KEY}"}
    url = f"{scene.site.lab.url('trainer')}/v1/fine_tuning/jobs/{row[0]}"
    try:
        job = httpx.get(url, headers=headers, timeout=5, trust_env=False).json()
    except httpx.HTTPError:
        return None
    return str(row[0]) if job.get("status") == status else None
