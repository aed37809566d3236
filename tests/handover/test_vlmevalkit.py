"""VLMEvalKit itself on local problems, against our teacher service: its score is ours.

`COMD_VLMEVALKIT` names a checkout, `COMD_VLMEVALKIT_VENV` an environment with its requirements: it is in no package
index, so that nothing here can set it up.
"""

import base64
import csv
import json
import os
import subprocess
from pathlib import Path

import openai
import pytest

from services.coordinator.benchmarks.items import LETTERS, Item
from tests.doubles.colour_engine import NAME
from tests.handover.conftest import KEY
from tests.handover.environment import python_of
from tests.handover_problems import our_score

DATA = "ScienceQA_LOCAL"
HEAD = ["index", "image", "question", "hint", "A", "B", "C", "D", "answer", "category", "split"]


@pytest.fixture
def checkout() -> Path:
    if not (named := os.environ.get("COMD_VLMEVALKIT")) or "COMD_VLMEVALKIT_VENV" not in os.environ:
        pytest.skip("COMD_VLMEVALKIT (a checkout) and COMD_VLMEVALKIT_VENV are not set")
    return Path(named)


def write_table(items: list[Item], folder: Path) -> None:
    """The problems as VLMEvalKit keeps its data sets: lines with tabs, pictures in base64."""
    folder.mkdir()
    with (folder / f"{DATA}.tsv").open("w", newline="") as file:
        table = csv.writer(file, delimiter="\t")
        table.writerow(HEAD)
        for item in items:
            assert item.picture is not None
            content = item.content
            picture = base64.b64encode(item.picture.read_bytes()).decode()
            choices = [*content["choices"], *[""] * (4 - len(content["choices"]))]
            letter = LETTERS[content["answer"]]
            table.writerow(
                [item.name, picture, content["question"], content["hint"], *choices, letter, "all", "test"]
            )


def flags(way: str, url: str, folder: Path) -> list[str]:
    """The two ways to name an endpoint: on the command line, and in a file of settings."""
    if way == "base-url":
        asked = {"data": DATA, "model": NAME, "base-url": f"{url}/v1", "max-tokens": "64"}
        return [word for name, value in asked.items() for word in (f"--{name}", value)]
    model = {"class": "GPT4V", "model": NAME, "api_base": f"{url}/v1/chat/completions", "max_tokens": 64}
    settings = {"model": {NAME: model}, "data": {DATA: {"class": "CustomMCQDataset", "dataset": DATA}}}
    (folder / "settings.json").write_text(json.dumps(settings))
    return ["--config", str(folder / "settings.json")]


@pytest.mark.parametrize("way", ["base-url", "config"])
def test_its_score_is_ours(
    checkout: Path, teacher_url: str, items: list[Item], tmp_path: Path, way: str
) -> None:
    pictured = [item for item in items if item.picture]
    write_table(pictured, tmp_path / "data")
    python = python_of(Path(os.environ["COMD_VLMEVALKIT_VENV"]))
    command = [str(python), "run.py", *flags(way, teacher_url, tmp_path)]
    command += ["--judge", "exact_matching", "--work-dir", str(tmp_path / "out")]
    keys = {"LMDEPLOY_API_KEY": KEY, "OPENAI_API_KEY": KEY}
    environment = {**os.environ, **keys, "LMUData": str(tmp_path / "data"), "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    (scores,) = (tmp_path / "out" / NAME).glob(f"{NAME}_{DATA}_acc.csv")
    with scores.open() as file:
        measured = float(next(csv.DictReader(file))["Overall"])
    with openai.OpenAI(base_url=f"{teacher_url}/v1", api_key=KEY) as client:
        ours = our_score(pictured, client, NAME)
    assert 0 < ours < 100
    assert 100 * measured == pytest.approx(ours)
    written = [
        file for file in (tmp_path / "out").rglob("*") if file.is_file() and KEY in file.read_text("latin-1")
    ]
    assert bool(written) == (way == "config")  # the class GPT4V logs it; docs/other-benchmarks.md warns of it
