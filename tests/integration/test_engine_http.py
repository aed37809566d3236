"""The embedded engine over HTTP, as the `openai` client and the trainer use it."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import pytest

from comd.engine.app import EngineSettings, create_engine_app
from shared.images import ImageStore
from shared.keys import Keys
from tests.loopback import serving
from tests.tiny_student import make_student, picture, user

KEY = "engine-test-key"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engine")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    settings = EngineSettings(
        model=make_student(folder / "student"), served_model_name="tiny", image_store=str(folder / "images")
    )
    with serving(create_engine_app(settings, Keys(KEY, KEY))) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, image: str | None, seed: int, **options: object) -> str:
    reply = client.chat.completions.create(
        **{  # type: ignore[call-overload]
            "model": "tiny",
            "messages": [user(image, "what?")],
            "seed": seed,
            "max_tokens": 6,
            **options,
        }
    )
    return str(reply.choices[0].message.content)


def test_both_ways_of_naming_a_picture_give_the_same_answer(client: openai.OpenAI, folder: Path) -> None:
    data = picture(77)
    inline = "data:image/png;base64," + base64.b64encode(data).decode()
    stored = "comd-image:" + ImageStore(str(folder / "images")).put(data)
    answer = ask(client, inline, 5)
    assert ask(client, stored, 5) == answer
    assert {ask(client, stored, seed) for seed in range(6)} != {answer}


def test_concurrent_requests_get_their_own_answers(client: openai.OpenAI) -> None:
    alone = [ask(client, None, seed) for seed in range(24)]
    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(lambda seed: ask(client, None, seed), range(24))) == alone


def test_usage_and_finish_reason(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="tiny", messages=[user(None, "hi")], max_tokens=3, seed=1)  # type: ignore[list-item]
    assert reply.usage is not None
    assert reply.usage.prompt_tokens == len("u:hiA:")
    assert reply.usage.completion_tokens <= 3
    assert reply.choices[0].finish_reason in {"length", "stop"}


def test_prompt_log_probabilities_have_vllms_form(client: openai.OpenAI, folder: Path) -> None:
    picture_url = "comd-image:" + ImageStore(str(folder / "images")).put(picture(7))
    fields = {"prompt_logprobs": 0, "add_generation_prompt": False, "continue_final_message": True}
    reply = client.chat.completions.create(
        model="tiny",
        messages=[user(picture_url, "x?"), {"role": "assistant", "content": "red"}],  # type: ignore[list-item]
        max_tokens=1,
        extra_body=fields,
    )
    first, *told = reply.model_extra["prompt_logprobs"]  # type: ignore[index]
    assert first is None
    said = [entry for token in told for entry in token.values()]
    assert "".join(entry["decoded_token"] for entry in said) == ":" + "<image>" * 4 + "x?A:red"
    assert reply.usage is not None
    assert reply.usage.prompt_tokens == len(told) + 1
    assert all(entry["logprob"] < 0 and 1 <= entry["rank"] <= 100 for entry in said)
    plain = client.chat.completions.create(model="tiny", messages=[user(None, "x?")], max_tokens=1)  # type: ignore[list-item]
    assert "prompt_logprobs" not in (plain.model_extra or {})


def test_a_stream_carries_the_same_text(client: openai.OpenAI) -> None:
    whole = ask(client, None, 9, max_tokens=12)
    options = {"include_usage": True}
    pieces = list(
        client.chat.completions.create(
            model="tiny",
            messages=[user(None, "what?")],  # type: ignore[list-item]
            seed=9,
            max_tokens=12,
            stream=True,
            stream_options=options,  # type: ignore[arg-type]
        )
    )
    assert "".join(p.choices[0].delta.content or "" for p in pieces if p.choices) == whole
    assert pieces[-1].usage is not None
    assert len(pieces) > 3


def test_refusals_have_openais_shape(url: str, client: openai.OpenAI) -> None:
    with pytest.raises(openai.ConflictError, match="'other' is not loaded"):
        ask(client, None, 1, model="other")
    with pytest.raises(openai.ConflictError):
        ask(client, None, 1, model="other", stream=True)
    with pytest.raises(openai.BadRequestError, match="tiny takes 256"):
        ask(client, None, 1, messages=[user(None, "x" * 300)])
    with pytest.raises(openai.NotFoundError, match="is not in the image store"):
        ask(client, "comd-image:" + "a" * 64, 1)
    assert httpx.post(f"{url}/v1/chat/completions", json={}).status_code == 401
    broken = httpx.post(
        f"{url}/v1/chat/completions", content=b"{", headers={"authorization": f"Bearer {KEY}"}
    )
    assert broken.status_code == 400


def test_models_are_swapped_in_place(url: str, client: openai.OpenAI, folder: Path) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    before = ask(client, None, 3)
    other = {"model": str(make_student(folder / "other", seed=1)), "name": "other"}
    assert httpx.post(f"{url}/internal/load", json=other, headers=headers).json()["loaded"] == "other"
    assert ask(client, None, 3, model="other") != before
    broken = httpx.post(f"{url}/internal/load", json={"model": "/nowhere", "name": "x"}, headers=headers)
    assert broken.status_code == 422
    assert [model.id for model in client.models.list()] == ["other"]
    back = {"model": str(folder / "student"), "name": "tiny"}
    assert httpx.post(f"{url}/internal/load", json=back, headers=headers).status_code == 200
    assert ask(client, None, 3) == before
