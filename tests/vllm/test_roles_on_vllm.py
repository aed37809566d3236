"""The role services in front of a real vLLM: what the openai client gets, what judge and augmentor make of replies,
and that what they say they used is what vLLM counted.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from services.augmentor.novelty import is_novel
from shared.types import Usage
from shared.usage import usage_of
from tests.tiny_student import picture
from tests.vllm.roles import INTERNAL, KEYS, Roles, chat, roles_before
from tests.vllm.server import COUNTERS, NAME, VllmServer

QUESTION = "What is in the picture?"
SCHEMA = {
    "type": "object",
    "properties": {"seen": {"type": "string", "maxLength": 60}, "number": {"enum": [1, 2, 3]}},
    "required": ["seen", "number"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def roles(vllm: VllmServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    with roles_before(vllm.spec, str(tmp_path_factory.mktemp("pictures"))) as roles:
        yield roles


@pytest.fixture(scope="module")
def teacher(roles: Roles) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{roles.urls['teacher']}/v1", api_key=KEYS.api, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def image(roles: Roles) -> str:
    return roles.pictures.put(picture(200))


def said(teacher: openai.OpenAI, **body: Any) -> str:
    reply = teacher.chat.completions.create(**body)
    assert reply.choices[0].finish_reason == "stop"
    return str(reply.choices[0].message.content)


@pytest.fixture(scope="module")
def body(teacher: openai.OpenAI, image: str) -> dict[str, Any]:
    """A question that gets an answer of some length."""
    bodies = (chat(QUESTION, f"comd-image:{image}", seed=seed) for seed in range(50))
    return next(body for body in bodies if len(set(said(teacher, **body).split())) > 5)


def test_answers_depend_on_seed_question_and_picture(
    teacher: openai.OpenAI, roles: Roles, image: str, body: dict[str, Any]
) -> None:
    first, url, seed = said(teacher, **body), f"comd-image:{image}", body["seed"]
    assert said(teacher, **body) == first
    as_data = "data:image/png;base64," + base64.b64encode(roles.pictures.read(image)).decode()
    assert said(teacher, **chat(QUESTION, as_data, seed=seed)) == first
    others = [f"comd-image:{roles.pictures.put(picture(red))}" for red in (0, 100)]
    for changed in (
        [chat(QUESTION, url, seed=other) for other in (seed + 1, seed + 2)],
        [
            chat(text, url, seed=seed)
            for text in ("How many squares are there?", "Describe the top row to me.")
        ],
        [chat(QUESTION, other, seed=seed) for other in others],
    ):
        assert {said(teacher, **one) for one in changed} - {first}


def test_a_stream_says_the_same_and_what_it_used(teacher: openai.OpenAI, body: dict[str, Any]) -> None:
    whole = teacher.chat.completions.create(**body)
    *pieces, last = teacher.chat.completions.create(
        **body, stream=True, stream_options={"include_usage": True}
    )
    texts = [piece.choices[0].delta.content or "" for piece in pieces]
    assert "".join(texts) == whole.choices[0].message.content
    assert len(texts) > 3
    assert last.usage.completion_tokens == whole.usage.completion_tokens
    assert last.usage.prompt_tokens == whole.usage.prompt_tokens


def test_limits_are_the_callers(teacher: openai.OpenAI, body: dict[str, Any]) -> None:
    whole = said(teacher, **body)
    word = whole.split()[-1]
    assert said(teacher, **body, stop=[word]) == whole[: whole.index(word)]
    cut = teacher.chat.completions.create(**{**body, "max_tokens": 2})
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 2)
    assert whole.startswith(str(cut.choices[0].message.content))


def test_a_schema_is_kept(teacher: openai.OpenAI, image: str) -> None:
    asked = {"type": "json_schema", "json_schema": {"name": "sight", "strict": True, "schema": SCHEMA}}
    for seed in range(3):
        body = chat(QUESTION, f"comd-image:{image}", response_format=asked, seed=seed)
        found = json.loads(said(teacher, **body))
        assert found.keys() == {"seen", "number"}
        assert found["number"] in {1, 2, 3}
        assert len(found["seen"]) <= 60


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"temperature": -1.0}, "temperature must be non-negative"),
        ({"response_format": {"type": "json_schema"}}, "json_schema"),
        ({"messages": [{"role": "user", "content": "x " * 9000}]}, "maximum context length"),
    ],
)
def test_what_vllm_refuses_is_refused_in_its_words(
    teacher: openai.OpenAI, image: str, wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=says):
        teacher.chat.completions.create(**{**chat(QUESTION, f"comd-image:{image}"), **wrong})


def test_a_picture_is_known_to_vllm_by_its_sha256(
    teacher: openai.OpenAI, roles: Roles, vllm: VllmServer
) -> None:
    """vLLM takes a picture without its bytes only where one was sent under that name before."""
    sha256 = roles.pictures.put(picture(77, 7))
    parts = [{"type": "image_url", "image_url": None, "uuid": sha256}, {"type": "text", "text": QUESTION}]
    nameless = {"model": NAME, "messages": [{"role": "user", "content": parts}], "max_tokens": 5}
    refused = vllm.post("/v1/chat/completions", json=nameless)
    assert (refused.status_code, "Cache miss" in refused.text) == (400, True)
    hits = vllm.metrics()["vllm:mm_cache_hits_total"]
    assert said(teacher, **chat(QUESTION, f"comd-image:{sha256}"))
    assert vllm.post("/v1/chat/completions", json=nameless).status_code == 200
    assert said(teacher, **chat("Anything else?", f"comd-image:{sha256}"))
    assert vllm.metrics()["vllm:mm_cache_hits_total"] >= hits + 2


def test_who_answers_is_what_vllm_serves(roles: Roles, vllm: VllmServer) -> None:
    for role, url in roles.urls.items():
        reply = httpx.get(f"{url}/v1/identity", headers=INTERNAL, trust_env=False).json()
        assert reply["revision"] == f"{vllm.url}|{NAME}|{vllm.model}", role
        assert httpx.get(f"{url}/ready", trust_env=False).json()["ready"] is True


def test_verdicts_can_be_read_in_both_orders(roles: Roles, image: str) -> None:
    """The model talks nonsense; that its replies are verdicts all the same is the schema's doing."""
    asked = {
        "image": image,
        "instruction": QUESTION,
        "teacher_answer": "A red square.",
        "student_answer": "?",
    }
    verdict = roles.assess(**asked)
    assert [run.order for run in verdict.runs] == ["teacher_first", "student_first"]
    assert verdict.unjudged is False
    scores = [score for run in verdict.runs for score in (run.teacher_score, run.student_score)]
    assert all(score is not None and 1 <= score <= 10 for score in scores)
    assert all(run.evidence for run in verdict.runs)
    assert timeless(roles.assess(**asked)) == timeless(verdict)
    others = [roles.assess(**{**asked, "seed": seed}) for seed in (4, 5)]
    assert any(timeless(other)["runs"] != timeless(verdict)["runs"] for other in others)


def test_questions_are_written_and_kept_novel(roles: Roles, image: str) -> None:
    parents = [{"id": number, "text": QUESTION, "task_type": "detail"} for number in (5, 2, 9)]
    asked = {"image": image, "parents": parents, "existing": [QUESTION]}
    written = roles.augment(**asked)
    texts = [one.text for one in written.accepted]
    assert texts
    for at, text in enumerate(texts):
        assert is_novel(text, [QUESTION, *texts[:at]])
    assert timeless(roles.augment(**{**asked, "parents": parents[::-1]})) == timeless(written)


def timeless(reply: Any) -> dict[str, Any]:
    """The reply without what a repeat does not share: seconds, and what the prefix cache held."""
    return dict(reply.model_dump(exclude={"usage": {"seconds", "cached_tokens"}}))


def test_the_roles_used_what_vllm_counted(roles: Roles, vllm: VllmServer) -> None:
    before = vllm.metrics()
    image, used = roles.pictures.put(picture(33, 44)), Usage()
    for number in range(3):
        text = f"{QUESTION} Part {number}?"
        body = chat(text, f"comd-image:{image}")
        used += usage_of(roles.post("teacher", "/v1/chat/completions", body).json())
        asked = {"image": image, "instruction": text, "teacher_answer": "red", "student_answer": "blue"}
        used += roles.assess(**asked).usage
        parents = [{"id": number, "text": text, "task_type": "detail"}]
        used += roles.augment(image=image, parents=parents, existing=[text]).usage
    assert vllm.settled(before, used.calls) == {name: getattr(used, name) for name in COUNTERS}
    assert used.cached_tokens > used.prompt_tokens / 4  # system prompt, picture and rules come again
    idle = vllm.metrics()
    assert idle["vllm:num_requests_running"] == idle["vllm:num_requests_waiting"] == 0
