"""The trainer's API by the official client over real HTTP. Nobody starts the trainer here, so jobs stay where the
client puts them: queued, paused, cancelled.
"""

import asyncio
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai.types import FileObject
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from PIL import Image
from prometheus_client import REGISTRY

from services.trainer.api.events import event_stream
from services.trainer.app import app_of
from services.trainer.checkpoints import MARKER
from services.trainer.settings import TrainerSettings
from services.trainer.trainer import Trainer
from shared.keys import Keys
from tests.loopback import serving

KEYS = Keys(api="api-key", internal="internal-key")
LINE = {"messages": [{"role": "user", "content": "what?"}, {"role": "assistant", "content": "red"}]}


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    base = tmp_path / "tiny"
    base.mkdir()
    (base / "config.json").write_text('{"model_type": "llava"}')
    settings = TrainerSettings(base_students={"tiny": base}, image_store=str(tmp_path / "images"))
    return Trainer(settings, tmp_path / "trainer")


@pytest.fixture
def url(trainer: Trainer) -> Iterator[str]:
    with serving(app_of(trainer, KEYS)) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=KEYS.api, max_retries=0) as client:
        yield client


def content(name: str) -> bytes:
    return json.dumps({"id": name, **LINE}).encode()


def upload(client: openai.OpenAI, name: str = "a") -> FileObject:
    return client.files.create(file=(f"{name}.jsonl", content(name)), purpose="fine-tune")


def create(client: openai.OpenAI, file: FileObject, **fields: Any) -> FineTuningJob:
    return client.fine_tuning.jobs.create(training_file=file.id, model="tiny", **fields)


def publish(trainer: Trainer, name: str) -> None:
    folder = trainer.checkpoints.folder / name
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llava"}')
    (folder / MARKER).write_text(json.dumps({"id": name, "created_at": 5}))


def parsed(object_: Any) -> Any:
    """The same object, read strictly: the client itself lets wrong types pass."""
    return type(object_).model_validate(object_.model_dump(), strict=True)


def test_files_live_as_the_client_expects(client: openai.OpenAI) -> None:
    file = upload(client)
    assert parsed(file) == file == client.files.retrieve(file.id) == client.files.wait_for_processing(file.id)
    assert (file.status, file.bytes, file.filename, file.purpose) == (
        "processed",
        len(content("a")),
        "a.jsonl",
        "fine-tune",
    )
    assert client.files.content(file.id).read() == content("a")
    gone = client.files.delete(file.id)
    assert (gone.id, gone.object, gone.deleted) == (file.id, "file", True)
    for lost in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError) as caught:
            lost(file.id)
        assert caught.value.param == "file_id"


def test_files_are_listed_page_by_page(client: openai.OpenAI, trainer: Trainer) -> None:
    times = iter(range(100, 105))
    trainer.files.now = lambda: next(times)
    names = [upload(client, str(at)).id for at in range(5)]
    assert [file.id for file in client.files.list(limit=2)] == names[::-1]
    assert [file.id for file in client.files.list(limit=2, order="asc", after=names[0])] == names[1:]
    assert client.files.list(limit=5).has_more is False
    assert list(client.files.list(purpose="batch")) == []
    for wrong, param in (
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
        ({"after": "file-x"}, "after"),
    ):
        with pytest.raises(openai.APIStatusError) as caught:
            client.files.list(**wrong)
        assert caught.value.param == param


def test_llava_comes_back_as_chat_lines(client: openai.OpenAI, trainer: Trainer) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    sha256 = trainer.files.store.put(buffer.getvalue())
    said = [{"from": "human", "value": "<image>\nwhat?"}, {"from": "gpt", "value": "red"}]
    array = json.dumps([{"id": "7", "image": sha256, "conversations": said}]).encode()
    file = client.files.create(file=("llava.json", array), purpose="fine-tune")
    line = json.loads(client.files.content(file.id).read())
    assert line["messages"][0]["content"][0]["image_url"]["url"] == f"comd-image:{sha256}"
    assert line["messages"][0]["content"][1]["text"] == "what?"


def test_a_broken_file_is_refused_whole(client: openai.OpenAI) -> None:
    broken = content("a") + b"\n{}\n{"
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.files.create(file=("a.jsonl", broken), purpose="fine-tune")
    assert (caught.value.code, caught.value.param) == ("invalid_training_file", "file")
    assert "2 faults:\nline 2, messages: expected an object" in caught.value.message
    assert list(client.files.list()) == []
    with pytest.raises(openai.BadRequestError) as refused:
        client.files.create(file=("a.jsonl", content("a")), purpose="batch")
    assert refused.value.param == "purpose"
    with pytest.raises(openai.BadRequestError, match="kept until they are deleted") as refused:
        client.files.create(
            file=("a.jsonl", content("a")),
            purpose="fine-tune",
            expires_after={"anchor": "created_at", "seconds": 3600},
        )
    assert refused.value.param == "expires_after"


def test_a_job_lives_as_the_client_expects(client: openai.OpenAI) -> None:
    file = upload(client)
    job = create(
        client,
        file,
        suffix="mine",
        seed=3,
        metadata={"run": "1"},
        method={
            "type": "supervised",
            "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": "auto"}},
        },
        extra_body={"stage": "tune", "adaptation": "lora"},
    )
    assert parsed(job) == job == client.fine_tuning.jobs.retrieve(job.id)
    assert (job.status, job.model, job.training_file, job.seed) == ("queued", "tiny", file.id, 3)
    assert (job.error, job.finished_at, job.fine_tuned_model, job.estimated_finish) == (
        None,
        None,
        None,
        None,
    )
    assert (job.metadata, job.integrations, job.result_files) == ({"run": "1"}, [], [])
    assert job.model_extra is not None
    assert job.model_extra["user_provided_suffix"] == "mine"
    assert (job.model_extra["stage"], job.model_extra["adaptation"]) == ("tune", "lora")
    assert job.method is not None
    assert job.method.type == "supervised"
    assert job.method.supervised is not None
    parameters = job.method.supervised.hyperparameters
    assert parameters is not None
    assert parameters.model_dump() == {
        "n_epochs": 2,
        "batch_size": 16,
        "learning_rate": 2e-5,
        "learning_rate_multiplier": 1.0,
        "warmup_ratio": 0.03,
        "max_length": 2048,
        "lora_rank": 128,
        "lora_alpha": 256.0,
        "lora_dropout": 0.05,
    }
    assert list(client.fine_tuning.jobs.checkpoints.list(job.id)) == []
    assert client.fine_tuning.jobs.pause(job.id).status == "paused"
    with pytest.raises(openai.ConflictError):
        client.fine_tuning.jobs.pause(job.id)
    assert client.fine_tuning.jobs.resume(job.id).status == "queued"
    client.fine_tuning.jobs.pause(job.id)
    assert client.fine_tuning.jobs.resume(job.id, extra_body={"from_start": True}).status == "queued"
    with pytest.raises(openai.ConflictError, match="only a paused job"):
        client.fine_tuning.jobs.resume(job.id)
    client.fine_tuning.jobs.pause(job.id)
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.fine_tuning.jobs.resume(job.id, extra_body={"from_end": True})
    assert caught.value.param == "from_end"
    over = client.fine_tuning.jobs.cancel(job.id)
    assert over.status == "cancelled"
    assert over.finished_at is not None


def test_jobs_and_events_are_listed_page_by_page(client: openai.OpenAI) -> None:
    file = upload(client)
    jobs = [create(client, file, metadata={"run": str(at % 2)}) for at in range(4)]
    jobs.append(create(client, file))
    listed = client.fine_tuning.jobs.list
    assert [job.id for job in listed(limit=2)] == [job.id for job in jobs[::-1]]
    assert [job.id for job in listed(limit=1, metadata={"run": "1"})] == [jobs[3].id, jobs[1].id]
    assert [job.id for job in listed(extra_query={"metadata": "null"})] == [jobs[4].id]
    client.fine_tuning.jobs.pause(jobs[0].id)
    client.fine_tuning.jobs.resume(jobs[0].id)
    events: list[FineTuningJobEvent] = list(client.fine_tuning.jobs.list_events(jobs[0].id, limit=1))
    assert [event.message for event in events] == ["Job queued", "Job paused", "Created tune job from tiny"]
    assert all(parsed(event).type == "message" for event in events)
    for lists in (listed, lambda **wrong: client.fine_tuning.jobs.list_events(jobs[0].id, **wrong)):
        for param, value in (("limit", 0), ("after", "no")):
            with pytest.raises(openai.APIStatusError) as caught:
                lists(**{param: value})  # type: ignore[arg-type]
            assert caught.value.param == param


def test_what_is_not_there_is_not_found(client: openai.OpenAI) -> None:
    jobs = client.fine_tuning.jobs
    for call in (
        jobs.retrieve,
        jobs.cancel,
        jobs.pause,
        jobs.resume,
        jobs.list_events,
        jobs.checkpoints.list,
    ):
        with pytest.raises(openai.NotFoundError):
            call("ftjob-no")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("ckpt-no")
    with pytest.raises(openai.NotFoundError):
        client.models.delete("ckpt-no")
    with pytest.raises(openai.NotFoundError):
        jobs.create(training_file="file-no", model="tiny")
    with pytest.raises(openai.NotFoundError, match="there are: tiny"):
        jobs.create(training_file=upload(client).id, model="large")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"extra_body": {"stage": "both"}}, "stage"),
        ({"extra_body": {"colour": 1}}, "colour"),
        ({"extra_body": {"adaptation": "lora", "stage": "pretrain"}}, "adaptation"),
        ({"extra_body": {"stage": "pretrain"}}, "training_file"),
        ({"method": {"type": "dpo", "dpo": {"hyperparameters": {}}}}, "method"),
        ({"hyperparameters": {"momentum": 1}}, "hyperparameters.momentum"),
        ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters.n_epochs"),
        ({"validation_file": "file-2"}, "validation_file"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "x"}}]}, "integrations"),
    ],
)
def test_the_field_at_fault_is_named(client: openai.OpenAI, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        create(client, upload(client), **fields)
    assert caught.value.param == param
    assert param.split(".")[-1] in caught.value.message
    assert list(client.fine_tuning.jobs.list()) == []


def test_a_student_of_an_unknown_class_is_refused_with_the_way_out(
    client: openai.OpenAI, trainer: Trainer
) -> None:
    (trainer.settings.base_students["tiny"] / "config.json").write_text('{"model_type": "strange"}')
    with pytest.raises(openai.UnprocessableEntityError, match=r"'strange' are not known.*setting families"):
        create(client, upload(client))


def test_an_idempotency_key_makes_one_job(client: openai.OpenAI) -> None:
    file, key = upload(client), {"idempotency-key": "one"}
    job = create(client, file, extra_headers=key)
    assert create(client, file, extra_headers=key) == job
    with pytest.raises(openai.ConflictError):
        create(client, file, suffix="other", extra_headers=key)


def test_a_file_that_a_job_needs_stays(client: openai.OpenAI) -> None:
    file = upload(client)
    job = create(client, file)
    with pytest.raises(openai.ConflictError, match=f"needed by job {job.id}, which is queued") as caught:
        client.files.delete(file.id)
    assert caught.value.code == "file_in_use"
    client.fine_tuning.jobs.pause(job.id)
    with pytest.raises(openai.ConflictError, match="which is paused"):
        client.files.delete(file.id)
    client.fine_tuning.jobs.cancel(job.id)
    assert client.files.delete(file.id).deleted


def test_a_student_that_is_needed_stays(client: openai.OpenAI, trainer: Trainer) -> None:
    for name in ("ckpt-1", "ckpt-2", "ckpt-3"):
        publish(trainer, name)
    model = client.models.retrieve("ckpt-1")
    assert parsed(model) == model
    assert {one.id for one in client.models.list()} == {"tiny", "ckpt-1", "ckpt-2", "ckpt-3"}
    trainer.ask_lease("run-1", "ckpt-2")
    job = client.fine_tuning.jobs.create(training_file=upload(client).id, model="ckpt-3")
    for name, said in (
        ("tiny", "base student"),
        ("ckpt-2", "run-1 holds"),
        ("ckpt-3", f"job {job.id} starts"),
    ):
        with pytest.raises(openai.ConflictError, match=said):
            client.models.delete(name)
    assert client.models.delete("ckpt-1").deleted
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("ckpt-1")
    trainer.give_back_lease("run-1")
    assert client.models.delete("ckpt-2").deleted
    assert {path.name for path in trainer.checkpoints.folder.iterdir()} == {"ckpt-3"}


def streamed(text: str) -> list[tuple[str, str]]:
    """(id, data) of every event of a stream."""
    blocks = [
        block.removeprefix("id: ").split("\ndata: ") for block in text.split("\n\n") if "\ndata: " in block
    ]
    return [(name, json.loads(data)["message"]) for name, data in blocks]


@pytest.mark.parametrize(
    "asked", [{"params": {"stream": "true"}}, {"headers": {"accept": "text/event-stream"}}]
)
def test_events_are_streamed_to_the_end_and_from_the_middle(
    client: openai.OpenAI, url: str, asked: dict[str, Any]
) -> None:
    job = create(client, upload(client))
    client.fine_tuning.jobs.cancel(job.id)
    key = {"authorization": f"Bearer {KEYS.api}"}
    path = f"{url}/v1/fine_tuning/jobs/{job.id}/events"
    headers = {**key, **asked.get("headers", {})}
    whole = httpx.get(path, params=asked.get("params"), headers=headers)
    assert whole.headers["content-type"].startswith("text/event-stream")
    assert whole.text.endswith("data: [DONE]\n\n")
    events = streamed(whole.text)
    assert [message for _, message in events] == ["Created tune job from tiny", "Job cancelled"]
    headers["last-event-id"] = events[0][0]
    assert streamed(httpx.get(path, params=asked.get("params"), headers=headers).text) == events[1:]
    headers["last-event-id"] = "ftevent-of-another-time"
    assert streamed(httpx.get(path, params=asked.get("params"), headers=headers).text) == events


def num_streams() -> float:
    return REGISTRY.get_sample_value("comd_trainer_event_streams") or 0.0


def test_a_stream_that_nobody_reads_any_more_is_let_go(client: openai.OpenAI, url: str) -> None:
    job = create(client, upload(client))
    path = f"{url}/v1/fine_tuning/jobs/{job.id}/events?stream=true"
    before = num_streams()
    with httpx.stream("GET", path, headers={"authorization": f"Bearer {KEYS.api}"}) as reply:
        lines = reply.iter_lines()  # closes the reply when it is dropped
        assert next(lines).startswith("id: ftevent-")
        assert num_streams() == before + 1
    ends = time.monotonic() + 10
    while num_streams() != before:
        assert time.monotonic() < ends, "the stream is still being written"
        time.sleep(0.02)


async def test_a_silent_stream_is_kept_open_by_comments(client: openai.OpenAI, trainer: Trainer) -> None:
    job = create(client, upload(client))
    pieces = event_stream(trainer.jobs, job.id, heartbeat_s=0.01)
    async with asyncio.timeout(10):
        assert (await anext(pieces)).startswith(b"id: ")
        assert await anext(pieces) == b": the job goes on\n\n"
        client.fine_tuning.jobs.pause(job.id)
        assert b"Job paused" in await anext(pieces)
        assert await anext(pieces) == b": the job goes on\n\n"
        client.fine_tuning.jobs.cancel(job.id)
        assert [piece[-8:] async for piece in pieces][-1] == b"[DONE]\n\n"


def test_a_trainer_that_is_not_warm_is_not_ready(url: str) -> None:
    reply = httpx.get(f"{url}/ready")
    assert reply.status_code == 503
    assert reply.json()["reason"] == "the warm parent is being started"
