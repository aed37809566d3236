"""The scripted engine as a process: the endpoints, the faults on command, and a quick end.

The prompts that it recognises are proven in its unit tests; here plain questions are enough.
"""

import base64
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from random import Random
from typing import Any

import httpx
import openai
import pytest

from comd.world.render import draw_scene
from comd.world.scene import Thing


def data_url() -> str:
    buffer = BytesIO()
    draw_scene((None, None, Thing("red", "circle"), Thing("blue", "square")), Random(1)).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def body(**more: Any) -> dict[str, Any]:
    content = [
        {"type": "image_url", "image_url": {"url": data_url()}},
        {"type": "text", "text": "Describe the bottom row to me."},
    ]
    messages = [{"role": "user", "content": content}]
    return {"model": "scripted", "messages": messages, "seed": 1, **more}


def started(*arguments: str) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "comd.scripted", "--port", str(port), "--error-rate", "0", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            httpx.get(f"{url}/health").raise_for_status()
            return process, url
        except httpx.TransportError:
            time.sleep(0.05)
    process.kill()
    raise RuntimeError("the scripted engine did not come up")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    process, address = started()
    yield address
    process.kill()
    process.wait()


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=5) as http:
        yield http
        http.post("/scripted/faults", json=[])


def ask(client: httpx.Client, fault: dict[str, Any] | None = None, **more: Any) -> httpx.Response:
    headers = {"x-scripted-fault": json.dumps(fault)} if fault else {}
    return client.post("/v1/chat/completions", json=body(**more), headers=headers)


def test_the_official_client_is_served_whole_and_streamed(url: str) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        cards = client.models.list().data
        assert {"scripted", "scripted-student@9"} <= {card.id for card in cards}
        assert all("scripted" in card.owned_by for card in cards)
        whole = client.chat.completions.create(**body())
        assert whole.choices[0].message.content == "Red circle, blue square."
        assert whole.usage is not None
        assert whole.usage.completion_tokens == 4
        parts = client.chat.completions.create(**body(), stream=True)
        text = "".join(part.choices[0].delta.content or "" for part in parts)
        assert text == whole.choices[0].message.content
        with pytest.raises(openai.NotFoundError, match="gpt-9"):
            client.chat.completions.create(**body(model="gpt-9"))


def test_the_same_request_gets_the_same_bytes(client: httpx.Client) -> None:
    assert ask(client).content == ask(client).content


@pytest.mark.parametrize("kind", ["429", "500", "503"])
def test_a_refusal_has_its_status_and_openais_shape(client: httpx.Client, kind: str) -> None:
    response = ask(client, {"kind": kind, "retry_after": 1})
    assert response.status_code == int(kind)
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert response.headers.get("retry-after") == (None if kind == "500" else "1")


@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_a_broken_connection_is_a_protocol_error(client: httpx.Client, kind: str) -> None:
    with pytest.raises(httpx.TransportError):
        ask(client, {"kind": kind})
    assert ask(client).status_code == 200


def test_garbage_is_no_json_and_gibberish_is_no_sense(client: httpx.Client) -> None:
    with pytest.raises(json.JSONDecodeError):
        ask(client, {"kind": "garbage"}).json()
    text = ask(client, {"kind": "gibberish"}).json()["choices"][0]["message"]["content"]
    assert "circle" not in text


def test_slow_takes_its_time_and_hang_never_answers(client: httpx.Client) -> None:
    began = time.monotonic()
    assert ask(client, {"kind": "slow", "seconds": 0.3}).status_code == 200
    assert time.monotonic() - began >= 0.3
    with pytest.raises(httpx.ReadTimeout):
        client.post(
            "/v1/chat/completions", json=body(), headers={"x-scripted-fault": '{"kind": "hang"}'}, timeout=0.5
        )


def test_a_trickle_is_whole_in_the_end_but_only_then(client: httpx.Client) -> None:
    began = time.monotonic()
    assert ask(client, {"kind": "trickle", "seconds": 0.4}).json()["choices"]
    assert time.monotonic() - began >= 0.4


def test_rules_strike_once_and_calls_are_counted(client: httpx.Client) -> None:
    client.delete("/scripted/calls")
    assert client.post("/scripted/faults", json=[{"kind": "503", "once": True}]).json() == {"rules": 1}
    assert [ask(client, seed=seed).status_code for seed in (11, 12, 11, 12)] == [503, 503, 200, 200]
    counts = client.get("/scripted/calls").json()
    assert (counts["total"], counts["repeated"], counts["faults"]) == (4, 2, {"503": 2})
    assert sum(counts["faults_by_role"].values()) == 2
    assert client.post("/scripted/faults", json=[{"kind": "fire"}]).status_code == 400


def test_a_wrong_path_or_body_gets_openais_error(client: httpx.Client) -> None:
    assert client.get("/v1/nothing").json()["error"]["code"] == "not_found"
    response = client.post("/v1/chat/completions", content=b"{")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_json")


def test_it_ends_quickly_even_with_a_request_hanging() -> None:
    process, url = started("--faults", '[{"kind": "hang"}]')
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(httpx.post, f"{url}/v1/chat/completions", json=body(), timeout=20)
        while httpx.get(f"{url}/scripted/calls").json()["total"] == 0:
            time.sleep(0.02)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=5)
        assert time.monotonic() - began < 3
        assert isinstance(hanging.exception(timeout=5), httpx.TransportError)
