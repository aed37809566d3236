"""What vLLM's development routes do under a role service: asleep it holds requests, other weights answer otherwise."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.talking_model import make_talking_model
from tests.tiny_student import picture
from tests.vllm.roles import Roles, chat, roles_before
from tests.vllm.server import VllmServer


@pytest.fixture(scope="module")
def roles(vllm: VllmServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    with roles_before(vllm.spec, str(tmp_path_factory.mktemp("pictures"))) as roles:
        yield roles


def answers(roles: Roles) -> list[str]:
    """What the teacher says to a few questions."""
    url = "comd-image:" + roles.pictures.put(picture(120))
    bodies = [chat(f"What is there, {number}?", url) for number in range(3)]
    replies = [roles.post("teacher", "/v1/chat/completions", body) for body in bodies]
    return [reply.json()["choices"][0]["message"]["content"] for reply in replies]


def test_asleep_it_holds_requests_and_awake_it_answers_them(roles: Roles, vllm: VllmServer) -> None:
    """The CPU build frees no memory, but its scheduler stands still."""
    before, held = answers(roles), list[Any]()
    assert vllm.post("/sleep").status_code == 200
    try:
        waiting = threading.Thread(target=lambda: held.append(answers(roles)))
        waiting.start()
        waiting.join(1.5)  # a hundred times what an answer takes
        assert held == []
    finally:
        assert vllm.post("/wake_up").status_code == 200
    waiting.join(30)
    assert held == [before]


def test_other_weights_answer_otherwise_and_the_first_as_before(
    roles: Roles, vllm: VllmServer, talker: Path, tmp_path: Path
) -> None:
    before = answers(roles)
    other = make_talking_model(tmp_path / "other", seed=1)
    try:
        reload(vllm, other)
        changed = answers(roles)
    finally:
        reload(vllm, talker)
    assert all(one != another for one, another in zip(before, changed, strict=True))
    assert answers(roles) == before


def reload(vllm: VllmServer, folder: Path) -> None:
    """New weights in place; what was computed with the old ones is forgotten."""
    body = {"method": "reload_weights", "kwargs": {"weights_path": str(folder)}}
    assert vllm.post("/collective_rpc", json=body).status_code == 200
    for cache in ("prefix", "mm", "encoder"):
        assert vllm.post(f"/reset_{cache}_cache").status_code == 200
