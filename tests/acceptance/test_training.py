"""Jobs of the trainer as a process of its own: real DeepSpeed, a tiny student, the `openai` client."""

import re
from typing import Any

import httpx
import openai
import pytest
from safetensors.torch import load_file

from tests.tiny_student import user
from tests.trainer_process import API, TrainerProcess, until


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
    missing = re.sub("comd-image:.{8}", "comd-image:" + "0" * 8, good)
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
        assert with_two.upload() == file_id
        done = with_two.over(with_two.create(file_id)["id"])
        assert done["status"] == "succeeded", done
        ours = with_two.weights(done["fine_tuned_model"])
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
    until(lambda: not {"prepared", "states"} & {p.name for p in trainer.job_folder(job["id"]).iterdir()}, 10)
