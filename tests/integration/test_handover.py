"""Other evaluation tools at our endpoints: their requests, field by field, and the scores that they must come to."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import orjson
import pytest

from services.coordinator.benchmarks.items import LETTERS, Item
from services.teacher.app import TeacherSettings, create_teacher_app
from services.trainer.serving import vllm_request
from shared.images import ImageStore
from shared.keys import Keys
from shared.types import EngineSpec, JsonObject
from tests.doubles import colour_engine
from tests.handover_problems import colour_problems, our_score
from tests.handover_requests import FORMS
from tests.loopback import serving

KEY = "api-key"
each_form = pytest.mark.parametrize("form", FORMS)


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    return colour_problems(tmp_path_factory.mktemp("problems"))


@pytest.fixture(scope="module")
def asked() -> list[JsonObject]:
    """What has come to the engine."""
    return []


@pytest.fixture(scope="module")
def url(asked: list[JsonObject], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The teacher service before an engine that sees no blue."""
    with serving(colour_engine.create_app(asked)) as engine:
        spec = EngineSpec(base_url=engine, model=colour_engine.NAME, kind="openai")
        settings = TeacherSettings(engine=spec, image_store=str(tmp_path_factory.mktemp("images")))
        with serving(create_teacher_app(settings, Keys(KEY, "internal-key"))) as url:
            yield url


@pytest.fixture(scope="module")
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url) as http:
        yield http


@pytest.fixture(scope="module")
def ours(url: str, items: list[Item]) -> float:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY) as client:
        return our_score(items, client, colour_engine.NAME)


def wording(item: Item) -> str:
    """As lmms-eval and VLMEvalKit write choices; ours have brackets."""
    choices = (
        f"{letter}. {choice}" for letter, choice in zip(LETTERS, item.content["choices"], strict=False)
    )
    return "\n".join([item.content["question"], *choices])


def post(http: httpx.Client, body: JsonObject) -> httpx.Response:
    """As VLMEvalKit posts: a text of JSON, and two headers."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    return http.post("/v1/chat/completions", headers=headers, content=json.dumps(body))


@each_form
def test_a_tools_score_is_ours_on_the_same_problems(
    http: httpx.Client, items: list[Item], ours: float, form: str
) -> None:
    right = 0
    for item in items:
        reply = post(http, FORMS[form](wording(item), item.picture, colour_engine.NAME))
        assert reply.status_code == 200, reply.text
        letter = LETTERS[item.content["answer"]]
        right += reply.json()["choices"][0]["message"]["content"].strip() == letter
    assert ours == pytest.approx(100 * right / len(items))
    seen = [
        item for item in items if item.picture and item.content["choices"][item.content["answer"]] != "blue"
    ]
    assert 0 < right == len(seen) < len(items)


@each_form
def test_what_was_set_arrives_and_nothing_else_but_the_teachers_prompt(
    http: httpx.Client, items: list[Item], asked: list[JsonObject], form: str
) -> None:
    body = FORMS[form](wording(items[0]), items[0].picture, colour_engine.NAME)
    post(http, body)
    sent = asked[-1]
    changed = {"messages", "temperature", "top_p"}
    assert {name: sent[name] for name in sent.keys() - changed} == {
        name: body[name] for name in body.keys() - changed
    }
    assert "top_p" not in sent  # it says nothing at temperature 0, and 0 is refused by vLLM
    assert sent["temperature"] == body.get("temperature", 0.5)
    assert sent["messages"][-1] == body["messages"][-1]
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]


@each_form
def test_the_students_engine_is_asked_the_same(items: list[Item], tmp_path: Path, form: str) -> None:
    """The trainer passes known fields to vLLM, and of a picture nothing but its data."""
    body = FORMS[form](wording(items[0]), items[0].picture, "ckpt-1")
    student = vllm_request.student_of("ckpt-1", tmp_path)
    sent = orjson.loads(vllm_request.request(orjson.dumps(body), student, ImageStore(str(tmp_path))))
    body.pop("top_p", None)  # 0, which vLLM refuses
    assert {**sent, "messages": None} == {**body, "messages": None, "model": vllm_request.SERVED_NAME}
    pairs = zip(sent["messages"][-1]["content"], body["messages"][-1]["content"], strict=True)
    for got, given in pairs:
        assert got["type"] == given["type"]
        assert got.get("text") == given.get("text")
        assert got.get("image_url", {}).get("url") == given.get("image_url", {}).get("url")


def test_a_stream_has_the_answer_in_the_lines_that_vlmevalkit_reads(
    http: httpx.Client, items: list[Item]
) -> None:
    body = {**FORMS["vlmevalkit_base_url"](wording(items[0]), items[0].picture, "any"), "stream": True}
    lines = [line[5:].strip() for line in post(http, body).text.splitlines() if line.startswith("data:")]
    assert lines.pop() == "[DONE]"
    said = [json.loads(line)["choices"][0]["delta"].get("content") or "" for line in lines]
    assert "".join(said) == LETTERS[items[0].content["answer"]]


def test_the_openai_client_of_lmms_eval_gets_text_and_usage(url: str, items: list[Item]) -> None:
    """It counts tokens, and its own headers come along."""
    body = FORMS["lmms_eval_chat"](wording(items[0]), items[0].picture, colour_engine.NAME)
    with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY) as client:
        reply = client.chat.completions.create(**body)
    assert reply.choices[0].message.content == LETTERS[items[0].content["answer"]]
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (10, 1)
