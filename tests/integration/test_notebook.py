"""The notebook in `examples/` runs from top to bottom against a real coordinator, and is kept without outputs."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

import comd
from tests.doubles.town import KEYS, Town, town

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "a_run_from_python.ipynb"
STRICT = """import warnings
warnings.simplefilter("error")
warnings.filterwarnings("default", module="ipykernel")"""


@pytest.fixture
async def place(
    tmp_path: Path, postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Town]:
    for name in (
        "JUPYTER_RUNTIME_DIR",
        "JUPYTER_CONFIG_DIR",
        "IPYTHONDIR",
        "MPLCONFIGDIR",
        "HF_HOME",
        "COMD_HOME",
    ):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    async with town(tmp_path, postgres_url, redis_url) as place:
        monkeypatch.setenv("COMD_URL", str(place.http.base_url))
        monkeypatch.setenv("COMD_API_KEY", KEYS.api)
        place.trainer.levels["tiny"] = 0  # the demo's base student
        await register_the_demos_data(place.folder)
        yield place


async def register_the_demos_data(folder: Path) -> None:
    async with comd.AsyncClient() as client:
        await client.datasets.register("demo", folder / "instruct.json", folder / "images")
        await client.datasets.register(
            "demo-captions", folder / "captions.json", folder / "images", "pretrain"
        )
        await client.datasets.register(
            "demo-heldout", folder / "heldout.json", folder / "heldout", "evaluation"
        )


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def outputs(notebook: Any, cell_id: str) -> list[Any]:
    return next(list(cell["outputs"]) for cell in notebook["cells"] if cell["id"] == cell_id)


def printed(notebook: Any, cell_id: str) -> str:
    return "".join(one["text"] for one in outputs(notebook, cell_id) if one["output_type"] == "stream")


def shown(notebook: Any, cell_id: str, media: str) -> list[str]:
    return [one["data"][media] for one in outputs(notebook, cell_id) if media in one.get("data", {})]


async def executed(notebook: Any, file: Path) -> Any:
    """The notebook with its outputs."""
    nbformat.write(notebook, file)
    words = (sys.executable, "-m", "tests.notebook_program", str(file), str(NOTEBOOK.parent))
    running = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.PIPE)
    _, said = await running.communicate()
    assert running.returncode == 0, said.decode()
    return nbformat.read(file, as_version=4)


async def test_the_notebook_runs_from_top_to_bottom(place: Town) -> None:
    notebook = read()
    notebook["cells"].insert(0, nbformat.v4.new_code_cell(STRICT))
    notebook = await executed(notebook, place.folder / "notebook.ipynb")
    assert "demo: instruct, 12 questions about 6 pictures" in printed(notebook, "data")
    assert "iteration 1: " in printed(notebook, "watch")
    assert printed(notebook, "watch").endswith("finished \n")
    assert "heldout_accuracy" in shown(notebook, "accuracy", "text/html")[0]
    assert len(shown(notebook, "chart", "image/png")) == 1
    assert len(shown(notebook, "picture", "image/png")) == 3
    assert "teacher_first: teacher " in printed(notebook, "judge")
    assert "So the answer is" in printed(notebook, "judge")
    num_rows = re.search(r"num_rows: (\d+)", shown(notebook, "export", "text/plain")[0])
    assert num_rows is not None
    assert int(num_rows[1]) > 12  # the seed's questions and new ones
    assert len(shown(notebook, "export-one", "image/png")) == 1
    stderr = [
        one for cell in notebook["cells"] for one in cell.get("outputs", ()) if one.get("name") == "stderr"
    ]
    assert stderr == []


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = read()
    nbformat.validate(notebook)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None), cell["id"]
            assert len(cell["source"].splitlines()) <= 12, f"{cell['id']}: a cell is short"
    kinds = [cell["cell_type"] for cell in notebook["cells"]]
    assert kinds.count("markdown") * 2 >= kinds.count("code") > 10
