"""The model that an evaluation measures, asked by way of the real teacher service before engines of several kinds."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from comd.engine.app import EngineSettings, create_engine_app
from comd.engine.model import LoadedModel, load
from comd.engine.pictures import prepare
from comd.scripted.app import create_app
from comd.scripted.roles import Behaviour
from services.coordinator import tested
from services.coordinator.benchmarks.likelihood import NoLogprobs
from services.coordinator.clients import Services
from services.coordinator.outgoing import Http, ItemFailed
from services.coordinator.settings import CoordinatorSettings
from services.coordinator.tested import Subject
from services.teacher import prompts
from services.teacher.app import TeacherSettings, create_teacher_app
from shared.errors import Unprocessable
from shared.images import ImageStore
from shared.keys import Keys
from shared.types import EngineSpec
from tests.loopback import serving
from tests.tiny_student import make_student, picture

KEYS = Keys(api="api-key", internal="internal-key")
heard: list[dict[str, Any]] = []


@pytest.fixture(scope="module")
def engine_url() -> Iterator[str]:
    """An engine that remembers each request, takes any field, and knows nothing of log-probabilities."""
    app = FastAPI()

    @app.get("/v1/models")
    async def models() -> Any:
        return {"object": "list", "data": [{"id": "m", "object": "model"}]}

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> JSONResponse:
        heard.append(await request.json())
        choice = {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}
        return JSONResponse({"object": "chat.completion", "choices": [choice], "usage": {"prompt_tokens": 3}})

    with serving(app) as url:
        yield url


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageStore:
    return ImageStore(str(tmp_path_factory.mktemp("images")))


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_student(tmp_path_factory.mktemp("student") / "tiny")


@pytest.fixture(scope="module")
def student_url(student: Path, images: ImageStore) -> Iterator[str]:
    settings = EngineSettings(model=student, image_store=images.url)
    with serving(create_engine_app(settings, KEYS)) as url:
        yield url


@pytest.fixture(scope="module")
def teacher_url(engine_url: str, images: ImageStore) -> Iterator[str]:
    spec = EngineSpec(base_url=engine_url, model="m")
    with serving(create_teacher_app(TeacherSettings(engine=spec, image_store=images.url), KEYS)) as url:
        yield url


@pytest.fixture
async def services(teacher_url: str, student_url: str) -> AsyncIterator[Services]:
    heard.clear()
    settings = CoordinatorSettings(teacher_url=teacher_url, trainer_url=student_url)
    made = Services(Http(KEYS, 10.0), settings)
    yield made
    await made.close()


async def test_a_tested_engine_is_asked_without_the_teachers_prompt(
    services: Services, engine_url: str
) -> None:
    where = Subject(engine=EngineSpec(base_url=engine_url, model="m", revision="r7"))
    said = await tested.answer(services, where, None, "Which?", {"max_tokens": 9}, seed=4)
    assert (said.text, said.usage.prompt_tokens) == ("a", 3)
    question = {"role": "user", "content": [{"type": "text", "text": "Which?"}]}
    assert heard == [{"model": "m", "messages": [question], "seed": 4, "max_tokens": 9}]


async def test_a_tested_teacher_is_asked_with_its_own_prompt(services: Services) -> None:
    where = Subject(role="teacher")
    await tested.answer(services, where, None, "Which?", {}, seed=4)
    assert heard[0]["messages"][0] == {"role": "system", "content": prompts.SYSTEM}
    assert heard[0]["temperature"] == 0.5


async def test_another_word_in_the_header_is_refused(services: Services) -> None:
    asked = {"messages": [{"role": "user", "content": "x"}]}
    url = f"{services.urls['teacher']}/v1/chat/completions"
    with pytest.raises(ItemFailed, match="x-comd-prompt: expected none, got 'all'"):
        await services.http.request("POST", url, asked, headers={"x-comd-prompt": "all"})


async def test_an_engine_without_log_probabilities_is_refused_at_once_and_in_words(
    services: Services, engine_url: str
) -> None:
    """Whether the role service refuses the fields, the engine does, or the engine passes them over."""
    silent = EngineSpec(base_url=engine_url, model="m", kind="vllm")
    with serving(create_app(Behaviour())) as scripted_url:
        strict = EngineSpec(base_url=scripted_url, model="scripted", kind="vllm")
        hosted = EngineSpec(base_url=scripted_url, model="scripted")
        for spec, said in (
            (silent, "the engine gives no prompt log-probabilities; vLLM does"),
            (strict, "Unrecognized request argument supplied: prompt_logprobs"),
            (hosted, "kind vllm alone takes it"),
        ):
            where = Subject(engine=spec)
            with pytest.raises(NoLogprobs) as refused:
                await tested.check_likelihoods(services, where)
            assert said in refused.value.message
            assert refused.value.message.endswith('vLLM does (kind = "vllm"); use method = "letter"')
            assert (refused.value.status, refused.value.code) == (422, "no_prompt_logprobs")
            with pytest.raises(ItemFailed):
                await tested.likelihoods(services, where, None, "Which?", ["this", "that"], seed=1)
        absent = Subject(engine=EngineSpec(base_url="http://192.0.2.1:1", model="m", kind="vllm"))
        with pytest.raises(Unprocessable, match=r"the tested engine: .*192\.0\.2\.1") as refused_otherwise:
            await tested.check_likelihoods(services, absent)
        assert refused_otherwise.value.code == "engine_refused"


CHOICES = ["red", "a bird, perhaps", "u:"]


def by_transformers(loaded: LoadedModel, picture_bytes: bytes | None, choice: str) -> float:
    """The loss of transformers itself on the choice's tokens; a token of the tiny student is a letter."""
    tokenizer = loaded.renderer.tokenizer
    shown = "" if picture_bytes is None else "<image>" * 4
    prompt = tokenizer(f"u:{shown}Which?A:", add_special_tokens=False)["input_ids"]
    said = tokenizer(choice, add_special_tokens=False)["input_ids"]
    inputs = {} if picture_bytes is None else prepare(loaded.renderer.processor, picture_bytes).inputs
    labels = torch.tensor([[-100] * len(prompt) + said])
    with torch.inference_mode():
        return float(loaded.model(input_ids=torch.tensor([prompt + said]), labels=labels, **inputs).loss)


async def test_likelihoods_are_those_of_transformers(
    services: Services,
    student_url: str,
    student: Path,
    images: ImageStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COMD_ENGINE_KEY_TINY", KEYS.api)
    spec = EngineSpec(base_url=student_url, model="tiny", key_name="COMD_ENGINE_KEY_TINY", kind="vllm")
    await tested.check_likelihoods(services, Subject(engine=spec))
    data, loaded = picture(90), load("tiny", student, None)
    for where, image, shown in (
        (Subject(engine=spec), images.put(data), data),
        (Subject(checkpoint="tiny"), images.put(data), data),
        (Subject(engine=spec), None, None),
    ):
        found, usage = await tested.likelihoods(services, where, image, "Which?", CHOICES, seed=1)
        assert [one.num_tokens for one in found] == [3, 15, 2]
        wanted = [by_transformers(loaded, shown, choice) for choice in CHOICES]
        assert [one.mean_nll for one in found] == pytest.approx(wanted, abs=1e-4)
        prefix = len("u:Which?A:") + (4 if image else 0)
        assert (usage.calls, usage.prompt_tokens) == (4, 4 * prefix + 3 + 15 + 2)
    with pytest.raises(ItemFailed, match="adds no token"):
        await tested.likelihoods(services, where, None, "Which?", ["red", ""], seed=1)
