"""The trainer as a process of its own: real DeepSpeed, a tiny student, the `openai` client, killed processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from safetensors.torch import load_file

from shared.images import ImageStore
from tests.loopback import free_port
from tests.tiny_student import make_student, training_file, user

API, INTERNAL = "trainer-test-key", "trainer-test-internal-key"
ROOT = Path(__file__).parents[2]


@dataclass
class TrainerProcess:
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {
            **os.environ,
            "COMD_HOME": str(self.folder),
            "COMD_API_KEY": API,
            "COMD_INTERNAL_KEY": INTERNAL,
            "COMD_TRAINER_BASE_STUDENTS": f'{{"tiny": "{self.folder}/student"}}',
            "COMD_TRAINER_IMAGE_STORE": str(self.folder / "images"),
            **self.settings,
        }
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.trainer", "--port", str(self.port)],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )
        until(lambda: self.healthy(), 30)

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(15)

    def healthy(self) -> bool:
        try:
            return self.call("GET", "/health").status_code == 200
        except httpx.HTTPError:
            return False

    def call(self, method: str, path: str, key: str = INTERNAL, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}", **options.pop("headers", {})}
        url = f"http://127.0.0.1:{self.port}{path}"
        return httpx.request(method, url, headers=headers, timeout=30, **options)

    def job(self, job_id: str) -> dict[str, Any]:
        return dict(self.call("GET", f"/v1/fine_tuning/jobs/{job_id}").json())

    def over(self, job_id: str) -> dict[str, Any]:
        until(lambda: self.job(job_id)["status"] in {"succeeded", "failed", "cancelled"}, 90)
        return self.job(job_id)

    def lease(self, owner: str, checkpoint: str | None = None) -> dict[str, Any]:
        return dict(self.call("POST", "/v1/leases", json={"owner": owner, "checkpoint": checkpoint}).json())

    def create(self, file_id: str, owner: str | None = None, **fields: Any) -> dict[str, Any]:
        parameters = {"batch_size": 8, "learning_rate": 1e-2, "n_epochs": fields.pop("n_epochs", 1)}
        body = {"training_file": file_id, "model": "tiny", "seed": 3, "hyperparameters": parameters, **fields}
        headers = {"x-comd-lease": owner} if owner else {}
        reply = self.call("POST", "/v1/fine_tuning/jobs", json=body, headers=headers)
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def weights(self, checkpoint: str) -> dict[str, Any]:
        return dict(load_file(self.folder / "trainer" / "checkpoints" / checkpoint / "model.safetensors"))

    def family(self) -> list[int]:
        """The pids of the process and of everything below it."""
        assert self.process is not None
        found = [self.process.pid]
        for pid in found:
            children = Path(f"/proc/{pid}/task/{pid}/children")
            found += [int(child) for child in children.read_text().split()] if children.exists() else []
        return found


def until(condition: Callable[[], bool], timeout_s: float) -> None:
    ends = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainerProcess]:
    folder = tmp_path_factory.mktemp("trainer")
    make_student(folder / "student")
    training_file(folder / "train.jsonl", ImageStore(str(folder / "images")))
    running = TrainerProcess(folder)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def file_id(trainer: TrainerProcess) -> str:
    upload = {"file": ("train.jsonl", (trainer.folder / "train.jsonl").read_bytes())}
    return str(trainer.call("POST", "/v1/files", files=upload, data={"purpose": "fine-tune"}).json()["id"])


def test_the_openai_client_drives_it_all(trainer: TrainerProcess) -> None:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{trainer.port}/v1", api_key=API, max_retries=0) as client:
        path = trainer.folder / "train.jsonl"
        file = client.files.create(file=path, purpose="fine-tune")
        assert client.files.create(file=path, purpose="fine-tune").id == file.id
        job = client.fine_tuning.jobs.create(
            training_file=file.id,
            model="tiny",
            seed=3,
            hyperparameters={"batch_size": 8, "n_epochs": 2},
            extra_headers={"idempotency-key": "the one"},
            extra_body={"stage": "tune"},
        )
        trainer.over(job.id)
        job = client.fine_tuning.jobs.retrieve(job.id)
        assert (job.status, job.error) == ("succeeded", None)
        assert job.trained_tokens
        assert job.id in [other.id for other in client.fine_tuning.jobs.list()]
        messages = [event.message for event in client.fine_tuning.jobs.list_events(job.id)]
        assert messages[0] == "Job succeeded"
        assert any(message.startswith("Step 6/6: training loss=") for message in messages)
        checkpoint = next(iter(client.fine_tuning.jobs.checkpoints.list(job.id)))
        assert checkpoint.fine_tuned_model_checkpoint == job.fine_tuned_model
        assert job.fine_tuned_model in [model.id for model in client.models.list()]
        reply = client.chat.completions.create(
            model=job.fine_tuned_model or "",
            messages=[user(None, "what?")],  # type: ignore[list-item]
            max_tokens=4,
            seed=1,
        )
        assert reply.usage is not None
        stream = client.chat.completions.create(
            model=job.fine_tuned_model or "",
            messages=[user(None, "what?")],  # type: ignore[list-item]
            max_tokens=4,
            seed=1,
            stream=True,
        )
        text = "".join(piece.choices[0].delta.content or "" for piece in stream)
        assert text == reply.choices[0].message.content
        with pytest.raises(openai.ConflictError) as caught:
            client.chat.completions.create(model="tiny", messages=[user(None, "x")])  # type: ignore[list-item]
        assert caught.value.code == "checkpoint_not_loaded"


def test_files_with_planted_errors_are_refused(trainer: TrainerProcess) -> None:
    good = (trainer.folder / "train.jsonl").read_text().splitlines()[0]
    missing = good.replace("comd-image:", "comd-image:" + "0" * 8)
    for bad, said in (("{", "line 2: not JSON"), (missing, "line 2, messages[0].content: picture"), ("", "")):
        content = f"{good}\n{bad}\n".encode() if bad else b""
        reply = trainer.call(
            "POST", "/v1/files", files={"file": ("x", content)}, data={"purpose": "fine-tune"}
        )
        assert reply.status_code == 422
        assert said in reply.json()["error"]["message"]
    assert list((trainer.folder / "trainer" / "files").glob(".*")) == []


def test_the_same_job_gives_the_same_weights_and_keeps_the_vision_encoder(
    trainer: TrainerProcess, file_id: str
) -> None:
    first, second = (trainer.over(trainer.create(file_id, suffix=name)["id"]) for name in ("a", "b"))
    assert first["status"] == "succeeded", first
    assert first["fine_tuned_model"] == second["fine_tuned_model"]
    assert first["metrics"]["total_steps"] == 3
    before = load_file(trainer.folder / "student" / "model.safetensors")
    after = trainer.weights(first["fine_tuned_model"])
    assert changed(before, after) == {"projector", "language"}


def test_pretraining_changes_the_projector_alone(trainer: TrainerProcess, file_id: str) -> None:
    job = trainer.over(trainer.create(file_id, stage="pretrain")["id"])
    before = load_file(trainer.folder / "student" / "model.safetensors")
    assert changed(before, trainer.weights(job["fine_tuned_model"])) == {"projector"}


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """The parts of the model with changed tensors; every trained matrix must have changed."""
    from services.trainer.training.families import role_of
    from services.trainer.training.publish import normal_name

    renamed = {normal_name(name): tensor for name, tensor in before.items()}
    assert renamed.keys() == after.keys()
    assert any(name.find("vision_tower.vision_model.") >= 0 for name in after)
    moved = {name for name in after if not renamed[name].equal(after[name])}
    roles = {role_of("llava", name) for name in moved}
    still = {n for n in after if role_of("llava", n) in roles and n not in moved and after[n].dim() > 1}
    assert not still
    return roles


def test_a_published_student_loads_in_transformers_with_all_its_weights(
    trainer: TrainerProcess, file_id: str
) -> None:
    from transformers import AutoModelForImageTextToText

    job = trainer.over(trainer.create(file_id)["id"])
    folder = trainer.folder / "trainer" / "checkpoints" / job["fine_tuned_model"]
    model, report = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    saved = trainer.weights(job["fine_tuned_model"])
    on = trainer.over(trainer.create(file_id, model=job["fine_tuned_model"])["id"])
    assert trainer.weights(on["fine_tuned_model"]).keys() == saved.keys()
    tower = model.model.vision_tower.state_dict()
    name = "encoder.layers.0.mlp.fc1.weight"
    loaded = next(tensor for key, tensor in tower.items() if key.endswith(name))
    assert loaded.equal(next(tensor for key, tensor in saved.items() if key.endswith(name)))


def test_two_devices_train_what_one_trains(trainer: TrainerProcess, file_id: str) -> None:
    """The batch is the same batch, in two halves; ZeRO-3 shards the weights and gathers them again."""
    import torch

    alone = trainer.over(trainer.create(file_id)["id"])
    two = {"COMD_TRAINER_NUM_DEVICES": "2", "COMD_TRAINER_ZERO_STAGE": "3"}
    with_two = TrainerProcess(trainer.folder, {**two, "COMD_HOME": str(trainer.folder / "two")})
    with_two.start()
    try:
        upload = {"file": ("train.jsonl", (trainer.folder / "train.jsonl").read_bytes())}
        again = with_two.call("POST", "/v1/files", files=upload, data={"purpose": "fine-tune"}).json()["id"]
        assert again == file_id
        done = with_two.over(with_two.create(file_id)["id"])
        assert done["status"] == "succeeded", done
        home = trainer.folder / "two" / "trainer" / "checkpoints" / done["fine_tuned_model"]
        ours = load_file(home / "model.safetensors")
    finally:
        with_two.stop()
    theirs = trainer.weights(alone["fine_tuned_model"])
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-3) for name in ours)


def test_the_lease_holds_the_trainer_for_one_run(trainer: TrainerProcess, file_id: str) -> None:
    assert trainer.call("POST", "/v1/leases", key=API, json={"owner": "x"}).status_code == 403
    assert trainer.call("POST", "/v1/leases", json={"owner": "x", "checkpoint": "no"}).status_code == 404
    trainer.lease("run-1", "tiny")
    until(lambda: bool(trainer.lease("run-1", "tiny")["loaded"]), 60)
    body = {"model": "tiny", "messages": [user(None, "what?")], "max_tokens": 2}
    assert trainer.call("POST", "/v1/chat/completions", json=body).status_code == 200
    other = trainer.create(file_id, owner="run-2")
    mine = trainer.create(file_id, owner="run-1", seed=4)
    assert trainer.lease("run-2")["state"] == "queued"
    done = trainer.over(mine["id"])
    assert done["status"] == "succeeded"
    assert trainer.job(other["id"])["status"] == "queued"
    assert trainer.lease("run-1") == {
        "owner": "run-1",
        "state": "held",
        "checkpoint": done["fine_tuned_model"],
        "loaded": True,
    }
    trainer.call("DELETE", "/v1/leases/run-1")
    assert trainer.over(other["id"])["status"] == "succeeded"
    assert trainer.lease("run-2")["state"] == "held"
    last = trainer.create(file_id, owner="run-2", seed=5, n_epochs=10)
    until(lambda: trainer.job(last["id"])["status"] == "running", 10)
    trainer.call("DELETE", "/v1/leases/run-2")
    assert trainer.over(last["id"])["status"] == "succeeded"
    assert trainer.lease("run-3")["state"] == "held"  # a lease given back during a job stays given back
    trainer.call("DELETE", "/v1/leases/run-3")


def test_a_failed_job_says_why(trainer: TrainerProcess, file_id: str) -> None:
    parameters = {"batch_size": 8, "max_length": 8}
    job = trainer.over(trainer.create(file_id, hyperparameters=parameters)["id"])
    assert job["status"] == "failed"
    assert job["error"]["message"] == "the training file has no turn within the length limit"
    reply = trainer.call("POST", "/v1/fine_tuning/jobs", json={"training_file": file_id, "model": "big"})
    assert reply.status_code == 404
    assert "there are: tiny" in reply.json()["error"]["message"]


def test_events_are_streamed_and_a_running_job_is_cancelled(trainer: TrainerProcess, file_id: str) -> None:
    job = trainer.create(file_id, n_epochs=2000)
    url = f"http://127.0.0.1:{trainer.port}/v1/fine_tuning/jobs/{job['id']}/events"
    headers = {"authorization": f"Bearer {API}", "accept": "text/event-stream"}
    data = []
    with httpx.stream("GET", url, headers=headers, timeout=60) as reply:
        for line in reply.iter_lines():
            if line.startswith("data: "):
                data.append(line)
            if "training loss" in line and "Step 3/" in line:
                trainer.call("POST", f"/v1/fine_tuning/jobs/{job['id']}/cancel")
    assert data[-1] == "data: [DONE]"
    assert "Job cancelled" in data[-2]
    assert len(data) == len(set(data))
    assert trainer.job(job["id"])["status"] == "cancelled"


def test_a_killed_service_leaves_nobody_behind_and_takes_the_job_up_again(
    trainer: TrainerProcess, file_id: str
) -> None:
    undisturbed = trainer.over(trainer.create(file_id, n_epochs=15)["id"])
    job = trainer.create(file_id, n_epochs=15, suffix="again")
    until(lambda: trainer.job(job["id"])["metrics"].get("step", 0) > 3, 60)
    family = trainer.family()
    assert len(family) >= 4  # the service, the warm parent, the engine, a rank
    assert trainer.process is not None
    os.kill(trainer.process.pid, signal.SIGKILL)
    trainer.process.wait()
    until(lambda: not any(alive(pid) for pid in family), 5)
    trainer.start()
    done = trainer.over(job["id"])
    assert done["status"] == "succeeded", done
    assert done["fine_tuned_model"] == undisturbed["fine_tuned_model"]
