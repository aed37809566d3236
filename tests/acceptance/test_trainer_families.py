"""A whole job for each model family: prepared, trained by DeepSpeed on two processes, published, loaded again."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from transformers import AutoModelForImageTextToText

from comd.engine.model import load_renderer
from services.trainer.training.families import role_of
from shared.images import ImageStore
from tests.families import FAMILIES, make_family
from tests.job_runs import JobRuns, job_runs
from tests.tiny_student import training_file

pytestmark = pytest.mark.asyncio(loop_scope="module")
SHARDED = {"num_devices": 2, "zero_stage": 3, "micro_batch_size": 1}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runs(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[JobRuns]:
    async with job_runs(tmp_path_factory.mktemp("families")) as running:
        yield running


@pytest.fixture(scope="module")
def file(runs: JobRuns) -> Path:
    """Seven lines with a picture and one without: with batches of two, one rank has none."""
    path = training_file(runs.folder / "train.jsonl", ImageStore(str(runs.folder / "images")), num_records=7)
    turns = [{"role": "user", "content": "is there a picture?"}, {"role": "assistant", "content": "no"}]
    path.write_text(path.read_text() + json.dumps({"messages": turns}) + "\n")
    return path


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_family_is_trained_published_and_loaded(runs: JobRuns, file: Path, family: str) -> None:
    student = make_family(family, runs.folder / family)
    parameters = {"batch_size": 2, "max_length": 1500, "learning_rate": 1e-3}
    made = await runs.run(student, file, SHARDED, hyperparameters=parameters)
    assert len(made.losses) == 4
    before, after = (loaded(folder) for folder in (student, made.checkpoint))
    assert before.keys() == after.keys()
    moved = {name for name, tensor in after.items() if not tensor.equal(before[name])}
    assert {role_of(family, name) for name in moved} == {"projector", "language"}
    load_renderer(made.checkpoint)


def loaded(folder: Path) -> dict[str, Any]:
    """All weights under the names that they have in the model; none may be missing or left over."""
    model, report = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    return dict(model.state_dict())
