"""The whole loop with vLLM behind teacher, judge and augmentor: every service a process, the trainer with DeepSpeed.

While the student trains, vLLM is killed; the assessment waits for it, visibly, and goes on when it is back. What came
of it is read from the database.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from comd.client import Client
from comd.stack.settings import StackSettings
from comd.stack.stack import Stack
from comd.world import dataset
from services.assessor.difficulty import difficulty
from services.augmentor.novelty import is_novel
from services.coordinator.api.shapes import Run
from tests.conftest import make_database
from tests.loopback import ten_free_ports
from tests.tiny_student import make_student
from tests.vllm.server import COUNTERS, NAME, VllmServer

NUM_PICTURES, NUM_SEEDS = 8, 16
CONFIG: dict[str, Any] = {
    "trainings": 2,
    "max_failed_share": None,  # random weights seldom come to an end
    "student": {"base": "tiny", "max_tokens": 16},
    "training": {"batch_size": 2, "learning_rate": 1e-3, "max_length": 1024},
}


@pytest.fixture(scope="module")
def database(postgres_server: str) -> str:
    return make_database(postgres_server, "loop_on_vllm", "comd_template")


@pytest.fixture(scope="module")
def stack(
    vllm: VllmServer, database: str, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("stack")
    dataset.write(home / "world", seed=3, num_pictures=NUM_PICTURES, num_heldout_per_kind=1)
    settings = StackSettings(
        home=home,
        base_port=ten_free_ports(),
        engine=vllm.spec,
        image_store=str(home / "images"),
        database_url=database,
        redis_url=redis_server,
        trainer={"base_students": {"tiny": str(make_student(home / "tiny", max_length=1024))}},
        coordinator={"data_roots": [str(home / "world")], "lease_s": 3},
    )
    with Stack(settings) as stack:
        yield stack


def wait(client: Client, run_id: str, found: Callable[[Run], bool]) -> Run:
    """The run, once it is as wanted."""
    ends = time.monotonic() + 90
    while not found(run := client.runs.get(run_id)):
        assert run.status == "running", run
        assert time.monotonic() < ends, run
        time.sleep(0.05)
    return run


@pytest.fixture(scope="module")
def taught(stack: Stack, vllm: VllmServer) -> dict[str, int]:
    """A run that has ended, though vLLM was killed in its middle: what vLLM had counted until then."""
    before = vllm.metrics()
    with Client(stack.url, stack.keys.api) as client:
        world = stack.settings.home / "world"
        client.datasets.register("world", world / "instruct.json", world / "images")
        made = client.runs.create("loop", "world", CONFIG).id
        client.runs.start(made, 2)
        wait(client, made, lambda run: run.phase == "training")
        counted = vllm.settled(before, NUM_SEEDS)
        vllm.kill()
        try:
            waiting = wait(client, made, is_waiting_for_the_judge)
            assert "cannot be reached" in (waiting.progress.waiting or "")
            check_the_roles_wait(stack)
        finally:  # others need it too
            vllm.start()
            vllm.wait()
        last = wait(client, made, lambda run: run.status != "running")
    assert (last.status, last.iteration, last.phase) == ("finished", 2, "trained"), last
    return counted


def is_waiting_for_the_judge(run: Run) -> bool:
    return run.phase == "assessing" and bool(run.progress.waiting)


def check_the_roles_wait(stack: Stack) -> None:
    """503 with Retry-After: come again, it is not your request."""
    headers = {"authorization": f"Bearer {stack.keys.api}"}
    body = {"messages": [{"role": "user", "content": "Is anybody there?"}]}
    for role in ("teacher", "assessor", "augmentor"):
        url = f"{stack.settings.url(role)}/v1/chat/completions"
        reply = httpx.post(url, json=body, headers=headers, timeout=30, trust_env=False)
        assert reply.status_code == 503, reply.text
        assert reply.json()["error"]["code"] == "engine_unavailable"
        assert float(reply.headers["retry-after"]) > 0


@pytest.fixture
def rows(database: str, taught: dict[str, int]) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """What a query finds."""
    with psycopg.connect(database, row_factory=dict_row) as connection:
        yield lambda query: connection.execute(query).fetchall()


def test_the_pools_are_those_of_the_algorithm(rows: Callable[[str], list[dict[str, Any]]]) -> None:
    first, second = rows("SELECT * FROM iterations WHERE number > 0 ORDER BY number")
    assert first["tuning_pool"] == first["cache_pool"] == NUM_SEEDS
    assert second["tuning_pool"] == first["accepted"] > 0
    assert second["cache_pool"] == NUM_SEEDS + first["accepted"]
    assert first["checkpoint"] != second["checkpoint"]
    assert second["train_loss"] > 0
    assert rows("SELECT * FROM failures") == []
    born = rows("SELECT born_in, count(*) AS num FROM instructions GROUP BY born_in ORDER BY born_in")
    assert [row["num"] for row in born] == [NUM_SEEDS, first["accepted"]]


def test_every_instruction_has_an_answer_of_vllms(
    rows: Callable[[str], list[dict[str, Any]]], vllm: VllmServer
) -> None:
    found = rows("""
        SELECT i.id, a.* FROM instructions i
        LEFT JOIN bindings b ON b.instruction_id = i.id AND b.role = 'teacher'
        LEFT JOIN answers a USING (request_hash)
    """)
    assert len({row["id"] for row in found}) == len(found) > NUM_SEEDS
    assert {row["model_revision"] for row in found} == {f"{vllm.url}|{NAME}|{vllm.model}"}
    assert {row["finish_reason"] for row in found} == {"stop"}
    assert all(row["text"].strip() and row["prompt_tokens"] and row["completion_tokens"] for row in found)


def test_every_verdict_was_read_and_weighs_as_it_says(
    rows: Callable[[str], list[dict[str, Any]]], vllm: VllmServer
) -> None:
    verdicts = rows("SELECT * FROM verdicts")
    assert len(verdicts) == NUM_SEEDS
    for verdict in verdicts:
        assert not verdict["unjudged"], verdict["reason"]
        assert verdict["revision"] == f"{vllm.url}|{NAME}|{vllm.model}"
        assert [run["order"] for run in verdict["runs"]] == ["teacher_first", "student_first"]
        for role in ("teacher_score", "student_score"):
            assert verdict[role] == sum(run[role] for run in verdict["runs"]) / 2
        assert verdict["difficulty"] == difficulty(verdict["student_score"], verdict["teacher_score"])
    assert len({verdict["difficulty"] for verdict in verdicts}) > 1


def test_every_accepted_question_is_novel(rows: Callable[[str], list[dict[str, Any]]]) -> None:
    (first,) = rows("SELECT * FROM iterations WHERE number = 1")
    selected = rows("SELECT * FROM selections")
    assert len(selected) == first["difficult"] + first["easy"]
    candidates = rows("SELECT * FROM candidates ORDER BY parent, attempt")
    assert {one["parent"] for one in candidates} == {one["instruction_id"] for one in selected}
    assert all(one["accepted"] is (one["reason"] is None) for one in candidates)
    texts: dict[str, list[str]] = {}
    for row in rows("SELECT image, text FROM instructions ORDER BY born_in"):
        assert is_novel(row["text"], texts.setdefault(row["image"], [])) or not texts[row["image"]]
        texts[row["image"]].append(row["text"])


def test_what_the_run_used_is_what_vllm_counted(
    rows: Callable[[str], list[dict[str, Any]]], vllm: VllmServer, taught: dict[str, int]
) -> None:
    """Since it is back, it may have counted more: one order of a verdict, of which the other came too early."""
    sums = ", ".join(f"sum({name})::bigint AS {name}" for name in COUNTERS)
    first = "phase = 'teaching' AND iteration = 1"  # the augmentation asks the teacher, too
    assert rows(f"SELECT {sums} FROM calls WHERE {first}") == [taught]
    (used,) = rows(f"SELECT {sums} FROM calls WHERE role <> 'student' AND NOT ({first})")
    counted = vllm.settled({}, used["calls"])
    assert 0 <= counted["calls"] - used["calls"] <= NUM_SEEDS
    assert all(0 < used[name] <= counted[name] for name in COUNTERS)
