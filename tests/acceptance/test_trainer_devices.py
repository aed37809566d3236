"""Every way to train gives the same student: ZeRO's stages, offload, accumulation, checkpointing, precision, LoRA."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import torch
from safetensors.torch import load_file

from services.trainer.training.families import role_of
from services.trainer.training.publish import normal_name
from shared.images import ImageStore
from tests.job_runs import JobRuns, Ran, job_runs
from tests.tiny_student import make_student, training_file

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAYS: dict[str, dict[str, Any]] = {
    "ZeRO 1, two processes": {"zero_stage": 1, "num_devices": 2},
    "ZeRO 2, two processes": {"zero_stage": 2, "num_devices": 2},
    "ZeRO 2, offload": {"zero_stage": 2, "offload": True},
    "ZeRO 3, offload": {"zero_stage": 3, "offload": True},
    "accumulation": {"micro_batch_size": 2},
    "accumulation, ZeRO 0 asked for": {"micro_batch_size": 2, "zero_stage": 0},
    "two processes, accumulation": {"num_devices": 2, "micro_batch_size": 2, "zero_stage": 3},
    "gradient checkpointing": {"gradient_checkpointing": True},
    "bf16": {"dtype": "bf16"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("devices")
    make_student(folder / "student")
    training_file(folder / "train.jsonl", ImageStore(str(folder / "images")), num_records=24)
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runs(folder: Path) -> AsyncIterator[JobRuns]:
    async with job_runs(folder) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain(runs: JobRuns, folder: Path) -> Ran:
    return await runs.run(folder / "student", folder / "train.jsonl", {})


@pytest.mark.parametrize("way", WAYS)
async def test_the_losses_are_those_of_one_process(runs: JobRuns, folder: Path, plain: Ran, way: str) -> None:
    made = await runs.run(folder / "student", folder / "train.jsonl", WAYS[way])
    tolerance = 0.05 if way == "bf16" else 1e-4
    assert made.losses == pytest.approx(plain.losses, abs=tolerance)
    assert made.weights.keys() == plain.weights.keys()
    for name, tensor in made.weights.items():
        assert torch.allclose(tensor.float(), plain.weights[name], atol=0.05 if way == "bf16" else 1e-3), name
    assert {tensor.dtype for tensor in made.weights.values()} == {
        torch.bfloat16 if way == "bf16" else torch.float32
    }


async def test_steps_are_taken_whatever_epochs_they_make(runs: JobRuns, folder: Path) -> None:
    """24 records in batches of 8 are 3 steps an epoch: two epochs given as steps are the same two epochs."""
    asked = [{"n_epochs": 2}, {"max_steps": 6}, {"max_steps": 5}, {"n_epochs": 4, "max_steps": 2}]
    epochs, whole, broken, short = [
        await runs.run(folder / "student", folder / "train.jsonl", {}, hyperparameters=one) for one in asked
    ]
    assert whole.losses == epochs.losses
    assert all(tensor.equal(epochs.weights[name]) for name, tensor in whole.weights.items())
    assert [len(made.losses) for made in (broken, short)] == [5, 2]
    assert [made.metrics["total_steps"] for made in (whole, broken, short)] == [6, 5, 2]
    assert whole.metrics["trained_tokens"] == epochs.metrics["trained_tokens"]
    assert broken.metrics["trained_tokens"] == round(epochs.metrics["trained_tokens"] / 2 * 5 / 3)


async def test_a_lora_round_starts_from_merged_weights_with_a_fresh_adapter(
    runs: JobRuns, folder: Path
) -> None:
    parameters = {"lora_rank": 4, "lora_alpha": 8, "learning_rate": 5e-2}
    asked = {"adaptation": "lora", "hyperparameters": parameters}
    first = await runs.run(folder / "student", folder / "train.jsonl", {}, **asked)
    adapter = load_file(first.checkpoint / "adapter" / "adapter_model.safetensors")
    assert {name.rsplit(".", 2)[-2] for name in adapter if "lora" in name} == {"lora_A", "lora_B"}
    before = {normal_name(n): t for n, t in load_file(folder / "student" / "model.safetensors").items()}
    moved = {name for name, tensor in first.weights.items() if not tensor.equal(before[name])}
    assert {role_of("llava", name) for name in moved} == {"projector", "language"}
    assert not [name for name in moved if name.endswith("lm_head.weight")]
    assert torch.allclose(*_merged_by_hand(before, first.weights, adapter), atol=1e-5)
    second = await runs.run(first.checkpoint, folder / "train.jsonl", {}, seed=4, **asked)
    assert second.losses[0] < first.losses[0]
    # a fresh adapter begins with B = 0, so that the round starts exactly at the merged weights
    assert second.losses[0] == pytest.approx(await _loss_of(runs, first.checkpoint, folder), abs=1e-4)


def _merged_by_hand(
    before: dict[str, Any], after: dict[str, Any], adapter: dict[str, Any]
) -> tuple[Any, Any]:
    ending = "layers.0.self_attn.q_proj"
    a, b = (_only(adapter, f"{ending}.{part}.weight") for part in ("lora_A", "lora_B"))
    old, new = (_only(weights, f"{ending}.weight") for weights in (before, after))
    return old + 8 / 4 * b @ a, new


def _only(weights: dict[str, Any], ending: str) -> Any:
    (found,) = [tensor for name, tensor in weights.items() if name.endswith(ending) and "vision" not in name]
    return found


async def _loss_of(runs: JobRuns, student: Path, folder: Path) -> float:
    """The loss of the first batch, before any step, without dropout."""
    made = await runs.run(
        student, folder / "train.jsonl", {}, seed=4, hyperparameters={"learning_rate": 1e-9}
    )
    return made.losses[0]


async def test_stage_one_trains_the_projector_alone_whatever_the_sharding(
    runs: JobRuns, folder: Path
) -> None:
    settings = {"zero_stage": 3, "num_devices": 2}
    made = await runs.run(folder / "student", folder / "train.jsonl", settings, stage="pretrain")
    before = {normal_name(n): t for n, t in load_file(folder / "student" / "model.safetensors").items()}
    moved = {name for name, tensor in made.weights.items() if not tensor.equal(before[name])}
    assert {role_of("llava", name) for name in moved} == {"projector"}


async def test_runs_are_tracked(runs: JobRuns, folder: Path) -> None:
    import sqlite3

    made = await runs.run(folder / "student", folder / "train.jsonl", {"tracking": ["trackio"]})
    with sqlite3.connect(folder / "tracking" / "comd.db") as kept:
        rows = [row[0] for row in kept.execute("select metrics from metrics order by id")]
    assert sum("train/loss" in str(row) for row in rows) == len(made.losses)
