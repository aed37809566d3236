"""The trainer's client against the stub trainer's contract: a file, a job's state and its losses."""

import json
from pathlib import Path

import pytest

from comd.trainer import Trainer
from shared.errors import Unauthorized
from tests.doubles.stub_trainer import StubTrainer, create_stub_app
from tests.doubles.town import KEYS
from tests.loopback import serving

LINE = {"messages": [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "This."}]}


def test_a_file_is_handed_in_and_a_jobs_losses_are_read(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_text(json.dumps(LINE) + "\n")
    stub = StubTrainer("http://127.0.0.1:1")
    with (
        serving(create_stub_app(stub, KEYS, str(tmp_path / "images"))) as url,
        Trainer(url, KEYS.api) as trainer,
    ):
        name = trainer.upload(file)
        assert name == trainer.upload(file)
        job_id = stub.create_job(
            {"training_file": name, "model": "base", "stage": "tune", "seed": 0}, "once", "me"
        )["id"]
        assert trainer.job(job_id)["status"] == "succeeded"  # the stub's job is over as soon as it may begin
        steps = [step for step, _ in trainer.losses(job_id)]
        assert steps == [1.0, 2.0, 3.0]
    with (
        serving(create_stub_app(stub, KEYS, str(tmp_path / "images"))) as url,
        Trainer(url, "not-the-key") as stranger,
        pytest.raises(Unauthorized),
    ):
        stranger.job(job_id)
