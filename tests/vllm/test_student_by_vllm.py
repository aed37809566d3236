"""The trainer with vLLM's CPU build in earnest: two jobs, a swap in place, killed processes. The tests follow
each other on one trainer, since a start of vLLM takes most of a minute.
"""

import base64
import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest

from comd.engine.dialogue import parse
from comd.engine.generate import decode_by_transformers
from comd.engine.model import LoadedModel, Row, load
from services.trainer.serving.vllm_command import private_folder
from shared.images import ImageStore
from tests.tiny_student import make_student, picture, training_file, user
from tests.trainer_process import API, TrainerProcess, until

FLAGS = ["--enforce-eager", "--max-num-seqs", "16"]
QUESTIONS = [(red, text) for red in range(0, 240, 20) for text in ("what red is it?", "red it is?")]


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory, vllm_python: Path) -> Iterator[TrainerProcess]:
    folder = tmp_path_factory.mktemp("trainer")
    make_student(folder / "student", hidden=64)
    settings = {
        "COMD_TRAINER_ENGINE": "vllm",
        "COMD_TRAINER_VLLM__PYTHON": str(vllm_python),
        "COMD_TRAINER_VLLM__FLAGS": json.dumps(FLAGS),
    }
    running = TrainerProcess(folder, settings)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(trainer: TrainerProcess) -> Iterator[openai.OpenAI]:
    url = f"http://127.0.0.1:{trainer.port}/v1"
    with openai.OpenAI(base_url=url, api_key=API, max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def first(trainer: TrainerProcess, client: openai.OpenAI) -> Any:
    """A finished job, whose student vLLM serves."""
    return train(trainer, client, "tiny", n_epochs=120)


def train(trainer: TrainerProcess, client: openai.OpenAI, model: str, n_epochs: int, times: int = 10) -> Any:
    """A finished job that teaches to say how red a picture is, in steps of ten or of `times`."""
    path = training_file(trainer.folder / f"train-{times}.jsonl", ImageStore(str(trainer.folder / "images")))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for number, line in enumerate(lines):
        line["messages"][1]["content"] = str(number * times)
    path.write_text("\n".join(map(json.dumps, lines)))
    file = client.files.create(file=path, purpose="fine-tune")
    parameters = {"batch_size": 8, "n_epochs": n_epochs, "learning_rate": 2e-3}
    job = client.fine_tuning.jobs.create(
        training_file=file.id,
        model=model,
        seed=3,
        hyperparameters=parameters,  # type: ignore[arg-type]
    )
    until(lambda: trainer.job(job.id)["status"] in {"succeeded", "failed"}, 240)
    done = client.fine_tuning.jobs.retrieve(job.id)
    assert (done.status, done.error) == ("succeeded", None)
    return done


def question(red: int, text: str) -> dict[str, Any]:
    return user("data:image/png;base64," + base64.b64encode(picture(red)).decode(), text)


def by_vllm(client: openai.OpenAI, model: str) -> list[str | None]:
    return [
        client.chat.completions.create(
            model=model,
            messages=[question(*asked)],  # type: ignore[list-item]
            max_tokens=12,
            temperature=0,
        )
        .choices[0]
        .message.content
        for asked in QUESTIONS
    ]


def by_transformers(trainer: TrainerProcess, checkpoint: str) -> list[str]:
    loaded = load("student", trainer.folder / "trainer" / "checkpoints" / checkpoint, None)
    return [_greedy(loaded, question(*asked)) for asked in QUESTIONS]


def _greedy(loaded: LoadedModel, message: dict[str, Any]) -> str:
    parsed = parse([message])
    pictures = [loaded.pictures.get(url) for url in parsed.image_urls]
    row = Row(loaded.renderer.prompt(parsed.messages, pictures), pictures, 12, 0.0, 0)
    decode_by_transformers(loaded, [row])
    return str(loaded.renderer.tokenizer.decode(row.tokens, skip_special_tokens=True))


def family(trainer: TrainerProcess) -> list[psutil.Process]:
    assert trainer.process is not None
    above = psutil.Process(trainer.process.pid)
    return [above, *above.children(recursive=True)]


def vllm_server(trainer: TrainerProcess) -> psutil.Process:
    """vLLM's own first process, below the guard."""
    found = [p for p in family(trainer) if p.cmdline()[1:3] == ["-m", "vllm.entrypoints.openai.api_server"]]
    (server,) = found
    return server


def test_a_published_student_answers_as_in_transformers(
    trainer: TrainerProcess, client: openai.OpenAI, first: Any
) -> None:
    answers = by_vllm(client, first.fine_tuned_model)
    assert answers == by_transformers(trainer, first.fine_tuned_model)
    assert len(answers) >= 20
    assert len(set(answers)) >= 3, answers  # it looks at the picture
    assert trainer.job(first.id)["metrics"]["swap"]["how"] == "restart"
    with pytest.raises(openai.ConflictError) as caught:
        client.chat.completions.create(model="tiny", messages=[user(None, "x")])  # type: ignore[list-item]
    assert caught.value.code == "checkpoint_not_loaded"
    stream = client.chat.completions.create(
        model=first.fine_tuned_model,
        messages=[question(*QUESTIONS[3])],  # type: ignore[list-item]
        max_tokens=12,
        temperature=0,
        stream=True,
    )
    pieces = list(stream)
    assert {piece.model for piece in pieces} == {first.fine_tuned_model}
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == answers[3]


def test_nobody_else_reaches_vllm(trainer: TrainerProcess, first: Any) -> None:
    for route in ("sleep", "wake_up", "collective_rpc", "reset_prefix_cache", "pause", "update_weights"):
        for path in (f"/{route}", f"/v1/{route}", f"/v1/chat/completions/../../{route}"):
            assert trainer.call("POST", path, json={"method": "reload_weights"}).status_code == 404, path
    sockets = private_folder(trainer.folder / "trainer" / "serving")
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    server = vllm_server(trainer)
    assert listening(server) == set()  # its HTTP routes have no port
    workers = {address for process in server.children(recursive=True) for address in listening(process)}
    assert workers <= {"127.0.0.1", "::1"}  # torch.distributed's own


def listening(process: psutil.Process) -> set[str]:
    """The addresses that a process listens on."""
    found = process.net_connections(kind="inet")
    return {one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN}


def test_a_second_job_swaps_the_weights_in_place(
    trainer: TrainerProcess, client: openai.OpenAI, first: Any
) -> None:
    before, server = by_vllm(client, first.fine_tuned_model), vllm_server(trainer)
    second = train(trainer, client, first.fine_tuned_model, n_epochs=40, times=7)
    answers = by_vllm(client, second.fine_tuned_model)
    assert answers == by_transformers(trainer, second.fine_tuned_model)
    assert answers != before
    swap = trainer.job(second.id)["metrics"]["swap"]
    assert swap["how"] == "reload"
    assert swap["reload_s"] + swap["wake_s"] + swap["canary_s"] < 20
    assert vllm_server(trainer) == server


def test_vllm_killed_comes_back(trainer: TrainerProcess, client: openai.OpenAI, first: Any) -> None:
    name = first.fine_tuned_model
    until(lambda: bool(trainer.lease("run-1", name)["loaded"]), 120)
    os.kill(vllm_server(trainer).pid, signal.SIGKILL)
    until(lambda: not trainer.lease("run-1", name)["loaded"], 20)
    until(lambda: bool(trainer.lease("run-1", name)["loaded"]), 240)
    assert by_vllm(client, name) == by_transformers(trainer, name)


def test_the_trainer_killed_leaves_nobody_behind(trainer: TrainerProcess, first: Any) -> None:
    everybody = family(trainer)
    assert len(everybody) >= 6  # the service, the warm parent, the guard, vLLM's server, engine and worker
    assert trainer.process is not None
    os.kill(trainer.process.pid, signal.SIGKILL)
    trainer.process.wait()
    _, alive = psutil.wait_procs(everybody, timeout=20)
    assert alive == []
