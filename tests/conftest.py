"""Real servers for tests: one embedded Postgres and one Redis a session, started when first asked for.

Every test that asks for `postgres_url` gets a database of its own, copied from a migrated template.
"""

import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from comd.stack.children import Child
from comd.stack.postgres import forget_sockets, postgres_child
from comd.stack.redis import redis_child
from services.coordinator.migrate import migrate
from tests.loopback import free_port

TEMPLATE = "comd_template"


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="comd-tests-"))
    folder.chmod(0o755)  # Postgres may run as another user
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(servers_folder: Path) -> Iterator[str]:
    """The URL of the server's own database, with a migrated template beside it."""
    child, url = postgres_child(servers_folder / "postgres", servers_folder / "postgres.log")
    child.start()
    try:
        _wait(child, lambda: _create_database(url, TEMPLATE, None))
        migrate(_named(url, TEMPLATE))
        yield url
    finally:
        child.ask_to_stop()
        child.wait_or_kill()
        forget_sockets(servers_folder / "postgres")


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty database of the test's own."""
    yield from _database(postgres_server, None)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A database of the test's own, with the newest schema."""
    yield from _database(postgres_server, TEMPLATE)


@pytest.fixture(scope="session")
def redis_server(servers_folder: Path) -> Iterator[str]:
    child, url = redis_child(servers_folder / "redis", free_port(), servers_folder / "redis.log")
    child.start()
    try:
        with redis.Redis.from_url(url) as client:
            _wait(child, client.ping, redis.ConnectionError)
        yield url
    finally:
        child.ask_to_stop()
        child.wait_or_kill()


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The session's Redis, emptied."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


def _database(server: str, template: str | None) -> Iterator[str]:
    name = f"test_{secrets.token_hex(6)}"
    yield make_database(server, name, template)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def make_database(server: str, name: str, template: str | None) -> str:
    """The new database's URL."""
    _create_database(server, name, template)
    return _named(server, name)


def _create_database(server: str, name: str, template: str | None) -> None:
    with psycopg.connect(server, autocommit=True, connect_timeout=2) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template or "template0"}"')


def _named(url: str, database: str) -> str:
    return url.replace("/postgres?", f"/{database}?")


def _wait(child: Child, action: object, error: type[Exception] = psycopg.OperationalError) -> None:
    assert callable(action)
    ends = time.monotonic() + 30
    while True:
        try:
            action()
            return
        except error:
            assert child.exit_status is None, child.last_words()
            assert time.monotonic() < ends, child.last_words()
            time.sleep(0.05)
