"""The engine by vLLM, with a program in vLLM's place that speaks its protocol on a real unix socket."""

import asyncio
import base64
import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import orjson
import pytest

from services.trainer.serving import probes, vllm_command
from services.trainer.serving.engine import CanaryDisagrees
from services.trainer.serving.probes import Probe
from services.trainer.serving.vllm_engine import VllmEngine
from services.trainer.settings import VllmSettings
from shared.errors import BadRequest, ConfigError, EngineUnavailable, Forbidden
from shared.images import ImageStore
from tests.tiny_student import picture, user

ROOT = Path(__file__).parents[2]
Make = Callable[[], VllmEngine]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """Makes engines whose vLLM is the double; they are closed at the end."""
    python = tmp_path / "python"
    double = shlex.join([sys.executable, str(ROOT / "tests" / "doubles" / "fake_vllm.py")])
    python.write_text(f'#!/bin/sh\nexec {double} "$@"\n')
    python.chmod(0o755)
    made = []

    def engine() -> VllmEngine:
        settings = VllmSettings(python=python, start_timeout_s=30, flags=["--seed", "1"])
        made.append(
            VllmEngine(settings, ImageStore(str(tmp_path / "images")), tmp_path / "serving", lambda: None)
        )
        return made[-1]

    yield engine
    for one in made:
        await one.close()


def checkpoint(tmp_path: Path, name: str, text: str, known: str | None = None, logprob: float = -1.0) -> Path:
    """A folder whose weights answer `text`; its canary knows `known`."""
    folder = tmp_path / name
    folder.mkdir()
    (folder / "config.json").write_text('{"dtype": "float32"}')
    (folder / "model.safetensors").write_text(f"{text}|{logprob}")
    added = [{"content": "<image>", "special": True}, {"content": "word", "special": False}]
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": added}))
    known = known or text
    probes.write(folder, [Probe([user(None, "what red?")], known, len(known), True, -1.0, 0.01)])
    return folder


async def answer(engine: VllmEngine, text: str = "what?") -> str:
    body = {"model": engine.loaded, "messages": [user(None, text)], "max_tokens": 64}
    reply = orjson.loads((await engine.ask(orjson.dumps(body))).body)
    assert reply["model"] == engine.loaded
    return str(reply["choices"][0]["message"]["content"])


def asked(tmp_path: Path) -> list[str]:
    """What the double was asked, without the chats."""
    lines = (tmp_path / "serving" / "requests.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("chat")]


def pid(engine: VllmEngine) -> int:
    assert engine.process._process is not None
    return engine.process._process.pid


async def test_new_weights_are_read_in_place(make: Make, tmp_path: Path) -> None:
    engine = make()
    await engine.load("ckpt-1", checkpoint(tmp_path, "1", "old"))
    assert (engine.loaded, await answer(engine), engine.swap["how"]) == ("ckpt-1", "old", "restart")
    first = pid(engine)
    await engine.sleep()
    assert engine.loaded is None
    await engine.load("ckpt-2", checkpoint(tmp_path, "2", "new"))
    assert (engine.loaded, await answer(engine), pid(engine)) == ("ckpt-2", "new", first)
    assert engine.swap["how"] == "reload"
    assert engine.swap.keys() == {"how", "reload_s", "wake_s", "canary_s"}
    assert asked(tmp_path)[1:] == [
        "/sleep?level=0&mode=abort ",
        '/collective_rpc {"method":"reload_weights"}',
        "/wake_up?tags=scheduling ",
        "/reset_prefix_cache ",
        "/reset_mm_cache ",
        "/reset_encoder_cache ",
    ]


async def test_on_a_gpu_it_sleeps_during_a_job(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_FAKE_DEVICE", "cuda")
    engine = make()
    await engine.load("ckpt-1", checkpoint(tmp_path, "1", "old"))
    await engine.sleep()
    await engine.sleep()  # a second job before the first was loaded
    await engine.load("ckpt-2", checkpoint(tmp_path, "2", "new"))
    assert await answer(engine) == "new"
    assert engine.swap.keys() == {"how", "sleep_s", "reload_s", "wake_s", "canary_s"}
    started, *control = asked(tmp_path)
    assert "--enable-sleep-mode" in started
    assert control[:4] == [
        "/sleep?level=2&mode=abort ",
        "/wake_up?tags=weights ",
        '/collective_rpc {"method":"reload_weights"}',
        "/wake_up?tags=kv_cache ",
    ]


async def test_an_answer_cut_short_by_a_job_does_not_pass_for_a_whole_one(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_FAKE_DEVICE", "cuda")
    engine = make()
    await engine.load("ckpt-1", checkpoint(tmp_path, "1", "old"))
    body = {"model": "ckpt-1", "messages": [user(None, "x")], "max_tokens": 9, "user": "slow"}
    running = asyncio.create_task(engine.ask(orjson.dumps(body)))
    await asyncio.sleep(0.05)
    await engine.sleep()
    with pytest.raises(EngineUnavailable, match="cut short"):
        await running


async def test_a_gpu_without_sleep_mode_is_given_back_by_ending(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_FAKE_DEVICE", "tpu")
    engine = make()
    await engine.load("ckpt-1", checkpoint(tmp_path, "1", "old"))
    await engine.sleep()
    assert not engine.process.running
    await engine.load("ckpt-2", checkpoint(tmp_path, "2", "new"))
    assert (await answer(engine), engine.swap["how"]) == ("new", "restart")


@pytest.mark.parametrize("fault", ["stale", "dies"])
async def test_a_reload_that_fails_is_mended_by_a_restart(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("VLLM_FAKE_FAULT", fault)
    engine = make()
    await engine.load("ckpt-1", checkpoint(tmp_path, "1", "old"))
    first = pid(engine)
    await engine.load("ckpt-2", checkpoint(tmp_path, "2", "new"))
    assert (engine.loaded, await answer(engine)) == ("ckpt-2", "new")
    assert (engine.swap["how"], pid(engine) != first) == ("restart", True)


@pytest.mark.parametrize(("text", "logprob"), [("old", -1.0), ("new", -1.2)])
async def test_weights_that_even_a_restart_does_not_bring_are_an_error(
    make: Make, tmp_path: Path, text: str, logprob: float
) -> None:
    engine = make()
    with pytest.raises(CanaryDisagrees, match=f"expected 'new'.*got '{text}'") as caught:
        await engine.load("ckpt-2", checkpoint(tmp_path, "2", text, known="new", logprob=logprob))
    assert caught.value.code == "canary_disagrees"
    assert engine.loaded is None
    await engine.load("ckpt-1", checkpoint(tmp_path, "1", "fine"))
    assert engine.swap["how"] == "restart"  # what it holds now is not trusted


async def test_another_form_or_no_canary_needs_a_restart(make: Make, tmp_path: Path) -> None:
    engine = make()
    await engine.load("ckpt-1", checkpoint(tmp_path, "1", "old"))
    other = checkpoint(tmp_path, "2", "new")
    (other / "config.json").write_text('{"dtype": "bfloat16"}')
    await engine.load("ckpt-2", other)
    assert (engine.swap["how"], await answer(engine)) == ("restart", "new")
    assert '"--dtype", "bfloat16"' in asked(tmp_path)[-1]
    base = checkpoint(tmp_path, "base", "unproven")
    (base / probes.CANARY).unlink()
    await engine.load("base", base)
    assert (engine.swap["how"], await answer(engine)) == ("restart", "unproven")


async def test_its_crash_is_noticed_and_the_next_load_starts_it_again(make: Make, tmp_path: Path) -> None:
    engine, lost = make(), []
    engine.lost = lambda: lost.append(True)
    folder = checkpoint(tmp_path, "1", "old")
    await engine.load("ckpt-1", folder)
    child = descendants(pid(engine))[0]
    os.kill(child, signal.SIGKILL)
    while not lost:
        await asyncio.sleep(0.01)
    assert engine.loaded is None
    await engine.load("ckpt-1", folder)
    assert (await answer(engine), engine.swap["how"]) == ("old", "restart")


async def test_what_vllm_sees(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COMD_API_KEY", "VLLM_API_KEY", "WANDB_API_KEY", "PYTHONPATH"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    engine = make()
    await engine.load("ckpt-1", checkpoint(tmp_path, "1", "old"))
    started = json.loads(asked(tmp_path)[0].removeprefix("started "))
    seen = set(started["environment"])
    assert not seen & {"COMD_API_KEY", "VLLM_API_KEY", "WANDB_API_KEY", "PYTHONPATH"}
    assert seen >= {"CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE", "DO_NOT_TRACK", "VLLM_NO_USAGE_STATS"}
    assert started["flags"][-2:] == ["--seed", "1"]
    assert "--port" not in started["flags"]
    sockets = vllm_command.private_folder(tmp_path / "serving")
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert (sockets / "http").is_socket()
    await engine.close()
    assert not sockets.exists()


async def test_pictures_names_and_control_tokens_on_their_way(make: Make, tmp_path: Path) -> None:
    engine = make()
    await engine.load("ckpt-1", checkpoint(tmp_path, "1", 'say "model":"comd-student"'))
    sha256 = engine.store.put(picture(3))
    question = user(f"comd-image:{sha256}", "an <image> word")
    url = "data:image/png;base64," + base64.b64encode(picture(4)).decode()
    inline = {**user(url, "x")["content"][0], "uuid": sha256}  # a claim to its place
    question["content"].append(inline)
    body = {"model": "ckpt-1", "messages": [question], "max_tokens": 64, "prompt_logprobs": 0}
    reply = orjson.loads((await engine.ask(orjson.dumps(body))).body)
    assert reply["model"] == "ckpt-1"
    assert reply["choices"][0]["message"]["content"] == 'say "model":"comd-student"'
    sent = (tmp_path / "serving" / "requests.txt").read_text().splitlines()[-1]
    passed_on = json.loads(sent.removeprefix("chat "))
    assert passed_on["prompt_logprobs"] == 0
    parts = passed_on["messages"][0]["content"]
    assert parts[0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert [part.get("uuid") for part in parts] == [sha256, None, None]
    assert parts[1]["text"] == "an < image> word"
    head, pieces = await engine.stream(orjson.dumps({**body, "stream": True}))
    text = b"".join([piece async for piece in pieces]).decode()
    assert (head.status, text.count('"model":"ckpt-1"'), "comd-student" in text) == (200, 26, False)
    assert text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"chat_template": "{{ x }}"}, BadRequest, "chat_template: unknown field"),
        ({"messages": []}, BadRequest, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, BadRequest, r"messages\[0\].role"),
        ({"messages": [user("http://elsewhere/a.png", "x")]}, Forbidden, "image url"),
        ({"messages": [user("file:///etc/passwd", "x")]}, Forbidden, "image url"),
        (
            {"messages": [{"role": "user", "content": [{"image_url": "http://a/b"}]}]},
            BadRequest,
            "part of type",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "video_url"}]}]}, BadRequest, "part of type"),
    ],
)
async def test_what_vllm_must_not_see_is_refused(
    make: Make, tmp_path: Path, change: dict[str, object], error: type[Exception], said: str
) -> None:
    engine = make()
    await engine.load("ckpt-1", checkpoint(tmp_path, "1", "old"))
    body = {"model": "ckpt-1", "messages": [user(None, "x")], **change}
    with pytest.raises(error, match=said):
        await engine.ask(orjson.dumps(body))


async def test_a_start_that_fails_says_why(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_FAKE_FAULT", "refuses")
    engine = make()
    with pytest.raises(EngineUnavailable, match="this model is not supported"):
        await engine.load("ckpt-1", checkpoint(tmp_path, "1", "old"))
    without = VllmEngine(VllmSettings(python=Path("/bin/false")), engine.store, tmp_path / "b", lambda: None)
    with pytest.raises(ConfigError, match="cannot import vLLM"):
        await without.load("ckpt-1", tmp_path / "1")


def test_a_folder_of_sockets_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    folder = vllm_command.private_folder(tmp_path)
    folder.chmod(0o755)
    with pytest.raises(ConfigError, match="only we may enter"):
        vllm_command.private_folder(tmp_path)
    folder.rmdir()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_the_guard_leaves_nobody_behind(ending: signal.Signals) -> None:
    """Its parent is killed, or it is told to end: what it started ends, in sessions of their own or orphaned."""
    guard = ROOT / "services" / "trainer" / "serving" / "guard.py"
    command = "setsid sleep 999 & (sleep 998 &) ; sleep 997"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(guard), command], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    guarded = int(parent.stdout.readline())
    ends = time.monotonic() + 10
    while len(family := descendants(guarded)) < 4:  # a shell and three sleeps
        assert time.monotonic() < ends, family
        time.sleep(0.02)
    if ending == signal.SIGTERM:
        os.kill(guarded, signal.SIGTERM)
        assert parent.wait(10) == 128 + signal.SIGTERM
    else:
        parent.kill()
        parent.wait(10)
    ends = time.monotonic() + 10
    while alive := [one for one in [guarded, *family] if Path(f"/proc/{one}/cmdline").exists()]:
        assert time.monotonic() < ends, alive
        time.sleep(0.02)
    parent.stdout.close()


PARENT = """
import os, subprocess, sys
guard = subprocess.Popen([sys.executable, "-I", sys.argv[1], str(os.getpid()), "sh", "-c", sys.argv[2]])
print(guard.pid, flush=True)
raise SystemExit(guard.wait())
"""


def descendants(of: int) -> list[int]:
    found = [of]
    for known in found:
        for path in Path(f"/proc/{known}/task").glob("*/children"):
            found += map(int, path.read_text().split())
    return found[1:]
