"""`comd train pretrain` against a real trainer: a caption file becomes an aligned student."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from typer.testing import CliRunner

from comd.cli import app
from services.trainer.training.families import role_of
from services.trainer.training.publish import normal_name
from tests.tiny_student import picture
from tests.trainer_process import API, TrainerProcess

NUM_PAIRS = 32


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    records = []
    for number in range(NUM_PAIRS):
        (tmp_path / f"{number}.png").write_bytes(picture(number * 7))
        turns = [{"from": "human", "value": "<image>\nred?"}, {"from": "gpt", "value": f"red {number * 7}"}]
        records.append({"id": str(number), "image": f"{number}.png", "conversations": turns})
    file = tmp_path / "chat.json"
    file.write_text(json.dumps([*records, {**records[0], "image": "lost.png", "id": "lost"}]))
    return file


def test_only_the_projector_learns_and_the_same_command_finds_its_job(
    trainer: TrainerProcess, captions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    monkeypatch.setenv("COMD_API_KEY", API)
    words = ["train", "pretrain", str(captions), "--images", str(captions.parent), "--base", "tiny"]
    words += [
        "--trainer-url",
        f"http://127.0.0.1:{trainer.port}",
        "--image-store",
        str(trainer.folder / "images"),
    ]
    words += ["--batch-size", "8", "--epochs", "2"]
    told = CliRunner().invoke(app, words, catch_exceptions=False)
    assert told.exit_code == 0, told.output
    again = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    facts = json.loads(again.stdout)

    job = trainer.job(facts["job"])
    assert (
        f"Job {job['id']} at the trainer" in told.stderr
    )  # the first command's, which the second found again
    assert facts["checkpoint"] == job["fine_tuned_model"]
    assert f'base = "{facts["checkpoint"]}"' in told.stdout
    assert "refused lost: image 'lost.png' cannot be read" in told.stdout
    assert (job["stage"], job["hyperparameters"]["learning_rate"]) == ("pretrain", 2e-3)
    assert (facts["pairs"], facts["num_refused"]) == (NUM_PAIRS, 1)
    assert [step for step, _ in facts["losses"]] == list(range(1, 2 * NUM_PAIRS // 8 + 1))
    assert {int(step): loss for step, loss in facts["losses"]} == trainer.losses(facts["job"])
    ElementTree.parse(captions.with_name("chat-loss.svg"))

    before = load_file(trainer.folder / "student" / "model.safetensors")
    after = trainer.weights(facts["checkpoint"])
    moved = {name for name, was in before.items() if not after[normal_name(name)].equal(was)}
    assert {role_of("llava", normal_name(name)) for name in moved} == {"projector"}


def test_a_job_that_cannot_be_is_told(
    trainer: TrainerProcess, captions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMD_API_KEY", API)
    words = ["train", "pretrain", str(captions), "--images", str(captions.parent), "--base", "large"]
    words += [
        "--trainer-url",
        f"http://127.0.0.1:{trainer.port}",
        "--image-store",
        str(trainer.folder / "images"),
    ]
    result = CliRunner().invoke(app, words)
    assert "no student 'large'; there are: tiny" in str(result.exception)
