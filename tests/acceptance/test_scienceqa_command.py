"""`comd train scienceqa` against a real trainer: a folder in the official layout becomes a tuned student."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from typer.testing import CliRunner

from comd.cli import app
from tests.doubles.official import problem, write_scienceqa
from tests.trainer_process import API, TrainerProcess

RECIPE = "[fine_tuning]\nepochs = 2\nbatch_size = 4\nlearning_rate = 1e-3\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Eight problems to learn from, half of them with a picture; one of the test split."""
    learned = {
        str(name): problem(split="train", image="image.png" if name % 2 else None, answer=name % 2)
        for name in range(8)
    }
    return write_scienceqa(tmp_path / "data", problems={**learned, "50": problem(image="image.png")})


def words(trainer: TrainerProcess, data: Path, recipe: Path) -> list[str]:
    url, images = f"http://127.0.0.1:{trainer.port}", str(trainer.folder / "images")
    about = ["--data", str(data), "--model", "tiny", "--config", str(recipe), "--suffix", "science"]
    return ["train", "scienceqa", *about, "--trainer-url", url, "--image-store", images]


def test_the_student_learns_and_the_same_command_finds_its_job(
    trainer: TrainerProcess, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMD_API_KEY", API)
    recipe, curve = tmp_path / "recipe.toml", tmp_path / "loss.svg"
    recipe.write_text(RECIPE)
    asked = words(trainer, data, recipe)
    told = CliRunner().invoke(app, [*asked, "--curve", str(curve)], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    facts = json.loads(CliRunner().invoke(app, [*asked, "--json"], catch_exceptions=False).stdout)

    job = trainer.job(facts["job"])
    assert f"Job {job['id']} at the trainer" in told.stderr  # the first command's, found by the second
    assert facts["checkpoint"] == job["fine_tuned_model"]
    assert f"comd evaluate scienceqa --data {data}" in told.stdout
    assert facts["checkpoint"] in told.stdout.splitlines()[-1]
    assert (job["stage"], job["user_provided_suffix"], job["seed"]) == ("tune", "science", 0)
    given = job["hyperparameters"]
    assert (given["n_epochs"], given["batch_size"], given["learning_rate"]) == (2, 4, 1e-3)
    assert (given["warmup_ratio"], given["max_length"]) == (0.03, 2048)
    assert (facts["problems"], facts["pictures"]) == (8, 4)
    assert {int(step): loss for step, loss in facts["losses"]} == trainer.losses(job["id"])
    assert len(facts["losses"]) == 2 * 8 // 4
    ElementTree.parse(curve)


def test_data_that_are_not_whole_reach_no_trainer(tmp_path: Path, data: Path) -> None:
    (data / "train" / "3" / "image.png").unlink()
    asked = [
        "train",
        "scienceqa",
        "--data",
        str(data),
        "--model",
        "tiny",
        "--trainer-url",
        "http://127.0.0.1:1",
    ]
    result = CliRunner().invoke(app, [*asked, "--image-store", str(tmp_path / "images")])
    assert "problem 3: no picture train/3/image.png" in str(result.exception)
