"""Everything that a run needs, as processes of ours that may be stopped, killed or short of disk.

In: a folder. Out: a lab with its own Postgres and Redis; the database and the trainer lie on small volumes.
"""

import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import redis

from comd.stack.children import Child
from comd.stack.postgres import forget_sockets, postgres_child
from comd.stack.redis import redis_child
from services.coordinator.migrate import migrate
from tests.chaos.volume import Volume
from tests.doubles.lab import Lab
from tests.loopback import free_port

TEMPLATE = "comd_template"
JOB_STEPS = 15  # a tenth of a second each
WAL_MB = 64  # kept small, so that the volume can be


class Site:
    """Leaving the context stops and removes everything."""

    def __init__(self, folder: Path, *, num_pictures: int, timeout_s: float = 2.0, database_mb: int = 600):
        self.folder = folder
        self.database_volume = Volume(folder / "database", database_mb)
        self.trainer_volume = Volume(folder / "trainer", 16)
        self.lab = Lab(
            folder,
            num_pictures,
            timeout_s=timeout_s,
            trainer_folder=self.trainer_volume.folder,
            job_steps=JOB_STEPS,
        )

    def __enter__(self) -> "Site":
        for volume in (self.database_volume, self.trainer_volume):
            volume.mount()
        data = self.database_volume.folder / "postgres"
        self.postgres, self.server_url = postgres_child(data, self.folder / "postgres.log")
        self.redis, self.redis_url = redis_child(
            self.folder / "redis", free_port(), self.folder / "redis.log"
        )
        self.postgres.start()
        self.redis.start()
        self.lab.__enter__()
        _until(self.postgres_answers)
        _until(self.redis_answers)
        self._prepare_database()
        return self

    def __exit__(self, *_: object) -> None:
        self.lab.__exit__()
        for child in (self.redis, self.postgres):
            child.ask_to_stop()
            child.wait_or_kill()
        forget_sockets(self.database_volume.folder / "postgres")
        for volume in (self.database_volume, self.trainer_volume):
            volume.unmount()

    @property
    def trainer(self) -> Child:
        return self.lab.trainer

    def database(self, name: str) -> str:
        """A new database with the newest schema."""
        self._administer(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"')
        return self._named(name)

    def postgres_answers(self) -> bool:
        try:
            self._administer("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def redis_answers(self) -> bool:
        with redis.Redis.from_url(self.redis_url, socket_timeout=2) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def _prepare_database(self) -> None:
        self._administer(f"ALTER SYSTEM SET max_wal_size = '{WAL_MB}MB'")
        self._administer("ALTER SYSTEM SET min_wal_size = '32MB'")
        self._administer("SELECT pg_reload_conf()")
        self._administer(f'CREATE DATABASE "{TEMPLATE}" TEMPLATE template0')
        migrate(self._named(TEMPLATE))

    def _administer(self, command: str) -> None:
        with psycopg.connect(self.server_url, autocommit=True, connect_timeout=2) as connection:
            connection.execute(command)  # type: ignore[call-overload]

    def _named(self, database: str) -> str:
        return self.server_url.replace("/postgres?", f"/{database}?")


def _until(answers: Callable[[], bool], patience_s: float = 30.0) -> None:
    ends = time.monotonic() + patience_s
    while not answers():
        assert time.monotonic() < ends, f"no answer within {patience_s} s"
        time.sleep(0.05)
