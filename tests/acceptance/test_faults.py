"""Killed workers, a killed coordinator and an emptied Redis change nothing: the same rows, hash for hash.

The scripted engine is a pure function of its requests, and training is a stub whose checkpoints are hashes.
"""

import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
import redis

from services.augmentor.novelty import is_novel
from services.coordinator.migrate import migrate
from services.coordinator.selection import select
from shared.identity import augmented_instruction_id
from tests.conftest import make_database
from tests.doubles.lab import Deployment, Lab, wait_until

CONFIG = {"trainings": 2, "evaluation": {"dataset": "heldout"}}
SETTINGS = {"lease_s": 2, "concurrency": 4, "published_at_once": 24, "tick_s": 0.05}
CONTENT = {
    "instructions": "SELECT id, image, text, task_type, origin, parent, born_in, dialogue, turn FROM instructions",
    "answers": """
        SELECT b.instruction_id, b.role, b.checkpoint, a.* FROM bindings b
        JOIN (SELECT request_hash, role, model_revision, prompt_version, text, finish_reason FROM answers) a
            USING (request_hash)
    """,
    "verdicts": "SELECT to_jsonb(verdicts) - 'run_id' FROM verdicts",
    "selections": "SELECT iteration, instruction_id, kind FROM selections",
    "candidates": "SELECT to_jsonb(candidates) - 'run_id' FROM candidates",
    "evaluations": "SELECT iteration, item_id, request_hash, correct FROM evaluation_answers",
    "failures": "SELECT iteration, phase, image, instruction_id, reason FROM failures",
}


@pytest.fixture(scope="module")
def folder(servers_folder: Path) -> Iterator[Path]:
    path = servers_folder / "lab"
    path.mkdir()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def lab(folder: Path) -> Iterator[Lab]:
    with Lab(folder) as lab:
        yield lab


@pytest.fixture(scope="module")
def undisturbed(lab: Lab, postgres_server: str, redis_server: str) -> str:
    """The database of a run that nobody disturbed."""
    deployment = deploy(lab, "undisturbed", postgres_server, redis_server)
    deployment.start_coordinator()
    deployment.start_worker()
    assert deployment.wait_for_end(deployment.begin_run(**CONFIG))["status"] == "finished"
    return deployment.database_url


def deploy(lab: Lab, name: str, postgres: str, redis_url: str) -> Deployment:
    url = make_database(postgres, name, None)
    migrate(url)
    return Deployment(lab, name, url, redis_url, SETTINGS)


def digests(database_url: str) -> Mapping[str, tuple[int, str]]:
    """Number of rows and a hash of them, by what they are."""
    with psycopg.connect(database_url) as connection:
        found = {}
        for name, query in CONTENT.items():
            rows = f'SELECT row_to_json(r)::text COLLATE "C" AS one FROM ({query}) r'
            hashed = (
                f"SELECT count(*), md5(coalesce(string_agg(one, E'\\n' ORDER BY one), '')) FROM ({rows}) s"
            )
            found[name] = connection.execute(hashed).fetchone()  # type: ignore[arg-type]
        return found  # type: ignore[return-value]


def wait_for_rows(database_url: str, table: str, number: int) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        query = f"SELECT count(*) >= {number} FROM {table}"
        wait_until(lambda: connection.execute(query).fetchone()[0])  # type: ignore[call-overload,index]


def status(deployment: Deployment) -> str:
    with psycopg.connect(deployment.database_url) as connection:
        row = connection.execute("SELECT status FROM runs").fetchone()
    assert row is not None
    return str(row[0])


def test_kills_and_a_flushed_redis_change_nothing(
    lab: Lab, undisturbed: str, postgres_server: str, redis_server: str
) -> None:
    deployment = deploy(lab, "disturbed", postgres_server, redis_server)
    coordinator = deployment.start_coordinator()
    workers = [deployment.start_worker() for _ in range(2)]
    lab.set_faults([{"kind": "slow", "seconds": 0.2}])  # so that there is a middle to disturb
    run_id = deployment.begin_run(**CONFIG)
    queue = redis.Redis.from_url(redis_server)

    wait_for_rows(deployment.database_url, "bindings", 8)
    queue.flushall()
    wait_for_rows(deployment.database_url, "verdicts", 4)
    kill(workers[0])
    wait_for_rows(deployment.database_url, "verdicts", 16)
    kill(coordinator)
    assert status(deployment) == "running"
    wait_for_rows(deployment.database_url, "verdicts", 24)
    deployment.start_coordinator()
    workers.append(deployment.start_worker())
    wait_for_rows(deployment.database_url, "candidates", 4)
    assert status(deployment) == "running"
    queue.flushall()
    kill(workers[1])
    lab.set_faults([])

    assert deployment.wait_for_end(run_id)["status"] == "finished"
    queue.close()
    assert digests(deployment.database_url) == digests(undisturbed)
    check_usage(deployment.database_url)


def check_usage(database_url: str) -> None:
    """The sums are those of the calls, and every result that was kept has its call."""
    summed = ", ".join(f"sum({name})" for name in ("calls", "prompt_tokens", "completion_tokens", "items"))
    with psycopg.connect(database_url) as connection:
        calls, totals = (
            connection.execute(f"SELECT role, {summed} FROM {table} GROUP BY role ORDER BY role").fetchall()  # type: ignore[call-overload]
            for table in ("calls", "usage_totals")
        )
        results = dict(connection.execute("SELECT role, count(*) FROM answers GROUP BY role").fetchall())
        verdicts = connection.execute("SELECT 'assessor', count(*) FROM verdicts").fetchall()
    assert calls == totals
    items = {role: items for role, *_, items in calls}
    assert all(items[role] >= num for role, num in {**results, **dict(verdicts)}.items())


def kill(child: object) -> None:
    process = child.process  # type: ignore[attr-defined]
    assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_the_undisturbed_run_did_something(undisturbed: str) -> None:
    counts = {name: count for name, (count, _) in digests(undisturbed).items()}
    assert counts["instructions"] > 60
    assert counts["selections"] > 0
    assert counts["verdicts"] == 60
    assert counts["candidates"] >= counts["selections"]
    assert counts["evaluations"] == 3 * 10


def test_the_pools_follow_from_the_stored_rows(undisturbed: str) -> None:
    """Selection, novelty and pools computed again from what is stored equal what is stored."""
    with psycopg.connect(undisturbed) as connection:
        judged = connection.execute("SELECT instruction_id, difficulty FROM verdicts WHERE NOT unjudged")
        difficult, easy = select(dict(judged.fetchall()), 0.33, 0)
        selected = connection.execute("SELECT instruction_id, kind FROM selections").fetchall()
        assert dict(selected) == {**dict.fromkeys(difficult, "difficult"), **dict.fromkeys(easy, "easy")}

        texts: dict[str, list[str]] = {}
        parents: dict[int, str] = {}
        rows = connection.execute("SELECT id, image, text FROM instructions WHERE born_in = 1 ORDER BY id")
        for number, image, text in rows:
            texts.setdefault(image, []).append(text)
            parents[number] = image
        born = {}
        attempts = "SELECT parent, attempt, text, accepted, reason FROM candidates ORDER BY attempt, parent"
        for parent, _, text, accepted, reason in connection.execute(attempts):
            others = texts[parents[parent]]
            assert accepted == is_novel(text, others) or reason not in {None, "not novel"}
            if accepted:
                others.append(text)
                born[augmented_instruction_id(parent, 2, text)] = (parent, text)
        stored = connection.execute("SELECT id, parent, text FROM instructions WHERE born_in = 2")
        assert {number: (parent, text) for number, parent, text in stored} == born
