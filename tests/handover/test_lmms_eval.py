"""lmms-eval itself, its own ScienceQA task on local problems, against our teacher service: its score is ours."""

import json
import os
import subprocess
from pathlib import Path

import openai
import pyarrow as pa
import pyarrow.parquet
import pytest

from services.coordinator.benchmarks.items import Item
from tests.doubles.colour_engine import NAME
from tests.handover.conftest import KEY
from tests.handover.environment import default_folder, python_of
from tests.handover_problems import our_score

COLUMNS = {
    "question": pa.string(),
    "choices": pa.list_(pa.string()),
    "answer": pa.int64(),
    "hint": pa.string(),
}
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FEATURES = {
    "image": {"_type": "Image"},
    "question": {"dtype": "string", "_type": "Value"},
    "choices": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"},
    "answer": {"dtype": "int64", "_type": "Value"},
    "hint": {"dtype": "string", "_type": "Value"},
}


@pytest.fixture
def python() -> Path:
    python = python_of(default_folder())
    if not python.is_file():
        pytest.skip(f"no {python}; `make test-handover` sets it up")
    return python


def as_the_hub_has_them(items: list[Item], file: Path) -> None:
    """The problems as lmms-eval's own copy of ScienceQA holds them: a Parquet file with pictures in it."""
    rows = [
        {
            "image": {"bytes": item.picture.read_bytes(), "path": None} if item.picture else None,
            **{name: item.content[name] for name in COLUMNS},
        }
        for item in items
    ]
    schema = pa.schema([("image", PICTURE), *COLUMNS.items()])
    table = pa.Table.from_pylist(rows, schema=schema)
    about = json.dumps({"info": {"features": FEATURES}})
    pyarrow.parquet.write_table(table.replace_schema_metadata({"huggingface": about}), file)


def task(python: Path, folder: Path, data: Path) -> str:
    """A task of our own that is lmms-eval's ScienceQA but for where the problems come from."""
    found = "import lmms_eval.tasks.scienceqa.utils as u; print(u.__file__)"
    utils = subprocess.run([python, "-c", found], capture_output=True, text=True, check=True).stdout
    folder.mkdir()
    settings = {
        "include": str(Path(utils.split()[-1]).with_name("scienceqa.yaml")),
        "task": "scienceqa_local",
        "dataset_path": "parquet",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {"test": str(data)}},
    }
    (folder / "scienceqa_local.yaml").write_text(json.dumps(settings))  # JSON is YAML
    return str(settings["task"])


@pytest.mark.parametrize("model", ["openai", "async_openai"])
def test_its_score_is_ours(
    python: Path, teacher_url: str, items: list[Item], tmp_path: Path, model: str
) -> None:
    as_the_hub_has_them(items, tmp_path / "test.parquet")
    name = task(python, tmp_path / "tasks", tmp_path / "test.parquet")
    command = [python, "-m", "lmms_eval", "eval", "--model", model, "--tasks", name]
    command += ["--model_args", f"model_version={NAME},base_url={teacher_url}/v1"]
    command += ["--include_path", tmp_path / "tasks", "--output_path", tmp_path / "out"]
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    environment = {**os.environ, **offline, "OPENAI_API_KEY": KEY}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    (results,) = (tmp_path / "out").glob("**/*results.json")
    measured = json.loads(results.read_text())["results"][name]["exact_match,none"]
    with openai.OpenAI(base_url=f"{teacher_url}/v1", api_key=KEY) as client:
        ours = our_score(items, client, NAME)
    assert 0 < ours < 100
    assert 100 * measured == pytest.approx(ours)
