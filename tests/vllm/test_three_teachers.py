"""One teaching phase, three servers one after the other: scripted engine, embedded engine, vLLM; each takes over by
PATCH while the one before still has answers to give. The database says who answered what.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from shared.types import EngineSpec
from tests.doubles.gate import Gate, create_gate_app
from tests.doubles.town import Town, town
from tests.loopback import free_port, serving
from tests.talking_model import make_talking_model
from tests.trainer_process import ROOT, until
from tests.vllm.server import NAME, VllmServer

NUM_PICTURES, NUM_QUESTIONS = 8, 16
HELD_AFTER = 3  # answers; then the gate keeps what is asked, until another engine has taken over
KEY_NAME, KEY = "COMD_ENGINE_KEY_EMBEDDED", "key of the embedded engine"


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[str]:
    """`python -m comd.engine` with a model of the same form as vLLM's, under a key of its own."""
    model, port = make_talking_model(tmp_path / "embedded", seed=2), free_port()
    arguments = ["-m", "comd.engine", "--model", str(model), "--port", str(port), "--api-key-env", KEY_NAME]
    environment = {**os.environ, KEY_NAME: KEY, "COMD_HOME": str(tmp_path / "home")}
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(url), 60)
        yield url
    finally:
        process.terminate()
        process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
async def place(tmp_path: Path, postgres_url: str, redis_url: str, embedded: str) -> AsyncIterator[Town]:
    """With two pictures under way at a time, so that a swap finds the others not yet begun."""
    async with town(tmp_path, postgres_url, redis_url, NUM_PICTURES, published_at_once=2) as place:
        yield place


async def swap(place: Town, run_id: str, teacher: EngineSpec) -> None:
    body = {"endpoints": {"teacher": teacher.model_dump()}}
    reply = await place.http.patch(f"/v1/runs/{run_id}", json=body)
    assert reply.status_code == 200, reply.text


def has_answered(num: int, run: dict[str, Any]) -> bool:
    """So many answers of the teacher; also where it is too late, so that the test fails at once."""
    return bool(run["progress"].get("done", 0) >= num or run["phase"] in {"training", "trained"})


def teacher_answers(url: str) -> list[tuple[int, str, str, str]]:
    """Of each instruction: id, picture, text, and the revision of the model that answered it."""
    query = """
        SELECT i.id, i.image, i.text, a.model_revision FROM instructions i
        JOIN bindings b ON b.run_id = i.run_id AND b.instruction_id = i.id AND b.role = 'teacher'
        JOIN answers a USING (request_hash)
    """
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


async def test_each_instruction_is_answered_once_by_one_of_three(
    place: Town,
    embedded: str,
    vllm: VllmServer,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(KEY_NAME, KEY)
    gates = [Gate(place.engine_url, HELD_AFTER), Gate(embedded, HELD_AFTER), Gate(vllm.url)]
    with ExitStack() as stack:
        urls = [stack.enter_context(serving(create_gate_app(gate))) for gate in gates]
        first = EngineSpec(base_url=urls[0], model="scripted", kind="scripted")
        second = EngineSpec(base_url=urls[1], model="embedded", key_name=KEY_NAME)
        third = EngineSpec(base_url=urls[2], model=NAME, kind="vllm")
        engine = {"engine": first.model_dump()}
        run_id = await place.begin(trainings=1, teacher=engine, max_failed_share=None)
        for num_answered, gate, successor in ((1, gates[0], second), (2, gates[1], third)):
            await place.wait(run_id, partial(has_answered, num_answered * HELD_AFTER))
            await swap(place, run_id, successor)
            gate.lets_through = float("inf")
        run = await place.wait_for_end(run_id)
    assert (run["status"], run["phase"]) == ("finished", "trained")

    rows = teacher_answers(postgres_url)
    assert len(rows) == len({row[0] for row in rows}) == NUM_QUESTIONS
    roots = ("scripted", str(embedded_folder(embedded)), str(vllm.model))
    revisions = [
        f"{url}|{spec.model}|{root}"
        for url, spec, root in zip(urls, (first, second, third), roots, strict=True)
    ]
    answered = Counter(row[3] for row in rows)
    assert answered.keys() == set(revisions)
    assert [answered[revision] for revision in revisions] == [len(gate.asked) for gate in gates]
    assert all(count >= HELD_AFTER for count in answered.values())
    asked = Counter(shown(body) for gate in gates for body in gate.asked)
    assert set(asked.values()) == {1}
    assert {text for _, text in asked} == {row[2] for row in rows}
    calls = (await place.http.get(f"{place.engine_url}/scripted/calls")).json()
    assert calls["by_role"]["teacher"] == answered[revisions[0]] + 1  # it was tried before the run was made
    assert calls["repeated_by_role"].get("teacher", 0) == 0


def embedded_folder(url: str) -> str:
    """The folder that the embedded engine says it serves."""
    headers = {"authorization": f"Bearer {KEY}"}
    return str(httpx.get(f"{url}/v1/models", headers=headers, trust_env=False).json()["data"][0]["root"])


def shown(body: dict[str, Any]) -> tuple[str, str]:
    """The picture and the text that a chat asks about."""
    picture, text = body["messages"][-1]["content"]
    return picture["image_url"]["url"], text["text"]
