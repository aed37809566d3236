"""The trainer's devices: defaults with and without GPUs, what cannot be had, hostfiles, command lines."""

from pathlib import Path
from typing import Any

import pytest

from services.trainer.devices import Devices, devices_of, sharded, slots
from services.trainer.jobs import Asked, Job
from services.trainer.launch.fresh import command
from services.trainer.plan import Plan, plan_of
from services.trainer.settings import TrainerSettings
from shared.errors import ConfigError


def devices(num_gpus: int, **settings: Any) -> Devices:
    return devices_of(TrainerSettings(**settings), num_gpus)


def test_without_a_gpu_one_process_is_forked() -> None:
    found = devices(0)
    assert (found.launcher, found.num_processes, found.dtype) == ("fork", 1, "fp32")
    assert not found.gradient_checkpointing
    assert found.loader_workers == 0


@pytest.mark.parametrize(
    ("settings", "stage"),
    [
        ({}, 0),
        ({"zero_stage": 3}, 3),
        ({"num_devices": 2}, 2),
        ({"dtype": "bf16"}, 2),
        ({"offload": True}, 2),
        ({"micro_batch_size": 4}, 2),
        ({"micro_batch_size": 4, "zero_stage": 0}, 1),
        ({"num_devices": 2, "zero_stage": 0}, 0),
    ],
)
def test_one_process_does_without_zero_but_never_in_parts_of_a_batch(
    settings: dict[str, Any], stage: int
) -> None:
    assert sharded(devices(0, **settings), batch_size=16).zero_stage == stage


def test_with_gpus_there_is_a_fresh_process_for_each() -> None:
    found = devices(4)
    assert (found.launcher, found.num_processes, found.dtype) == ("torchrun", 4, "bf16")
    assert found.gradient_checkpointing
    assert devices(4, num_devices=2).num_processes == 2


def test_a_hostfile_brings_deepspeeds_launcher_and_all_its_devices(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("# the cluster\nnode1 slots=8\n\nnode2 slots=4  # smaller\n")
    assert slots(file) == {"node1": 8, "node2": 4}
    found = devices(8, hostfile=file)
    assert (found.launcher, found.num_processes) == ("deepspeed", 12)


@pytest.mark.parametrize(
    ("num_gpus", "settings", "said"),
    [
        (2, {"launcher": "fork"}, "fork cannot be used with GPUs"),
        (2, {"num_devices": 4}, "4 asked for, but this machine has 2 GPUs"),
        (0, {"dtype": "fp16"}, "no fp16 without a GPU"),
        (2, {"hostfile": "/nowhere"}, "cannot read /nowhere"),
    ],
)
def test_what_cannot_be_had_is_refused(num_gpus: int, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        devices(num_gpus, **settings)


@pytest.mark.parametrize(
    ("text", "said"),
    [("node1 8\n", "line 1: expected 'name slots=N', got 'node1 8'"), ("# none\n", "names no node")],
)
def test_a_wrong_hostfile_is_refused_by_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "hosts").write_text(text)
    with pytest.raises(ConfigError, match=said):
        slots(tmp_path / "hosts")


def plan(tmp_path: Path, num_gpus: int, **settings: Any) -> Plan:
    asked = Asked(training_file="file-1", model="tiny", seed=1, stage="pretrain")
    job = Job(id="ftjob-1", number=1, asked=asked, created_at=0)
    given = TrainerSettings(**settings)
    return plan_of(job, tmp_path / "m", tmp_path / "f", tmp_path, given, devices_of(given, num_gpus))


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    made = plan(tmp_path, 2, num_devices=2)
    assert Plan.model_validate_json(made.model_dump_json()) == made
    assert made.learning_rate == 2e-3  # stage 1's, from the paper
    assert made.shape.micro_batch_size == 8


def test_torchrun_starts_a_process_a_gpu(tmp_path: Path) -> None:
    line = " ".join(command(plan(tmp_path, 4), tmp_path / "plan.json", 29500))
    assert "torch.distributed.run --nproc_per_node 4 --max_restarts 0" in line
    assert line.endswith(f"services.trainer.training.rank {tmp_path}/plan.json")


def test_several_nodes_are_started_by_hostfile(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("node1 slots=8\nnode2 slots=8\n")
    line = " ".join(command(plan(tmp_path, 8, hostfile=tmp_path / "hosts"), tmp_path / "plan.json", 29500))
    assert f"--hostfile {tmp_path}/hosts --launcher pdsh --master_addr node1 --master_port 29500" in line
    assert "--num_gpus" not in line


def test_only_pdsh_needs_ssh(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("node1 slots=8\nnode2 slots=8\n")
    settings = {"hostfile": tmp_path / "hosts", "node_launcher": "slurm"}
    assert "--no_ssh_check" in command(plan(tmp_path, 8, **settings), tmp_path / "plan.json", 29500)
