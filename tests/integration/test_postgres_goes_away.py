"""A town's run while its Postgres is stopped, killed and out of disk: it goes on by itself, and nothing has failed."""

import asyncio
import contextlib
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from comd.stack.postgres import forget_sockets, postgres_child
from services.coordinator.migrate import migrate
from tests.doubles.town import Town, town

BACK_WITHIN_S = 30.0
NUM_PICTURES = 12
DISK_MB = 200


class OwnPostgres:
    """A server of the test's own, which may be stopped and killed."""

    def __init__(self, folder: Path):
        self.data = folder / "postgres"
        self.child, self.url = postgres_child(self.data, folder / "postgres.log")

    def start(self) -> None:
        self.child.start()
        ends = time.monotonic() + BACK_WITHIN_S
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert self.child.exit_status is None, self.child.last_words()
                assert time.monotonic() < ends, self.child.last_words()
                time.sleep(0.05)

    def end(self, how: signal.Signals) -> None:
        """SIGINT is a fast shutdown, SIGQUIT an immediate one."""
        assert self.child.process is not None
        self.child.process.send_signal(how)
        self.child.process.wait(20)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="comd-own-") as path:
        Path(path).chmod(0o755)  # Postgres may run as another user
        yield Path(path)


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own for the server's data, small enough to be filled."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=755", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"mounting a tmpfs needs root and the right to mount: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def postgres(folder: Path) -> Iterator[OwnPostgres]:
    server = OwnPostgres(folder)
    server.start()
    migrate(server.url)
    yield server
    server.child.ask_to_stop()
    server.child.wait_or_kill()
    forget_sockets(server.data)


@pytest.fixture
async def place(tmp_path: Path, postgres: OwnPostgres, redis_url: str) -> AsyncIterator[Town]:
    async with town(tmp_path, postgres.url, redis_url, NUM_PICTURES, num_workers=2, concurrency=4) as place:
        yield place


def count(postgres: OwnPostgres, table: str) -> int:
    with psycopg.connect(postgres.url) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # type: ignore[arg-type]
    assert row is not None
    return int(row[0])


async def until_more(postgres: OwnPostgres, table: str, than: int, within_s: float = BACK_WITHIN_S) -> float:
    """Seconds until there are more rows."""
    started = time.monotonic()
    while count(postgres, table) <= than:
        assert time.monotonic() - started < within_s, f"no more rows of {table} within {within_s} s"
        await asyncio.sleep(0.05)
    return time.monotonic() - started


@pytest.fixture
def full(small_disk: Path, postgres: OwnPostgres) -> Callable[[], Path]:
    """Fills the disk under the server, to the last byte; the file to delete again."""

    def fill() -> Path:
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 65536)
        return filler

    return fill


@pytest.fixture
async def with_long_leases(tmp_path: Path, postgres: OwnPostgres, redis_url: str) -> AsyncIterator[Town]:
    async with town(tmp_path, postgres.url, redis_url, NUM_PICTURES, concurrency=4, lease_s=20) as place:
        yield place


async def test_a_full_disk_is_waited_for_and_what_came_meanwhile_is_kept(
    full: Callable[[], Path],
    postgres: OwnPostgres,
    with_long_leases: Town,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = with_long_leases
    await place.set_faults({"kind": "slow", "seconds": 0.2})
    run_id = await place.begin(trainings=2)
    await until_more(postgres, "verdicts", 0)
    filler = await asyncio.to_thread(full)
    with (
        psycopg.connect(postgres.url, autocommit=True) as connection,
        pytest.raises(psycopg.Error) as refused,
    ):
        connection.execute(
            "CREATE TABLE big AS SELECT repeat(n::text, 500) FROM generate_series(1, 100000) n"
        )
    assert refused.value.sqlstate in {"53100", "57P03", None}  # refused, or the server went down over its log
    async with asyncio.timeout(BACK_WITHIN_S):  # a worker has met it, and waits
        while postgres.child.exit_status is None and not any(
            "database_away" in line and "No space left" in line
            for line in capsys.readouterr().out.splitlines()
        ):
            await asyncio.sleep(0.2)
    filler.unlink()
    if postgres.child.exit_status is not None:
        await asyncio.to_thread(postgres.start)
    await place.set_faults()
    run = await place.wait_for_end(run_id)
    assert (run["status"], run["reason"]) == ("finished", None)
    assert count(postgres, "failures") == 0
    assert count(postgres, "tasks WHERE errors > 0") == 0
    said = (await place.http.get(f"{place.engine_url}/scripted/calls")).json()
    assert said["repeated"] == 0


async def test_a_server_that_is_stopped_and_killed_is_waited_for(place: Town, postgres: OwnPostgres) -> None:
    await place.set_faults({"kind": "slow", "seconds": 0.3})  # so that there is a middle to disturb
    run_id = await place.begin(trainings=2)
    for how, table in (
        (signal.SIGINT, "bindings"),
        (signal.SIGQUIT, "verdicts"),
        (signal.SIGKILL, "verdicts"),
        (signal.SIGKILL, "candidates"),
    ):
        before = count(postgres, table) if table == "verdicts" else 0
        await until_more(postgres, table, before, 40)
        await asyncio.to_thread(postgres.end, how)
        reply = await place.http.get(f"/v1/runs/{run_id}")
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "database_unavailable")
        assert (await place.http.get("/ready")).status_code == 503
        await asyncio.sleep(0.5)
        await asyncio.to_thread(postgres.start)
        if table != "candidates":
            await until_more(postgres, table, count(postgres, table))
    await place.set_faults()
    run = await place.wait_for_end(run_id)
    assert (run["status"], run["reason"]) == ("finished", None)
    assert count(postgres, "failures") == 0
    assert count(postgres, "tasks WHERE errors > 0") == 0
