"""Jobs that are killed, paused, short of disk or moved to other devices: nothing is lost, to the bit."""

import contextlib
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.trainer.training_states import MARKER
from tests.trainer_process import TrainerProcess, alive, prepared_folder, until

STEPS_BETWEEN_STATES = 4
COMMON = {"COMD_TRAINER_SAVE_EVERY_STEPS": str(STEPS_BETWEEN_STATES)}
TWO = {"COMD_TRAINER_NUM_DEVICES": "2"}
SHAPES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    # it is quick, and must not be over before the last kill; the last of its epochs is not whole
    "one process": ({}, {"max_steps": 158}),
    "two processes, ZeRO-3, bf16": (
        {**TWO, "COMD_TRAINER_ZERO_STAGE": "3", "COMD_TRAINER_DTYPE": "bf16"},
        {"n_epochs": 20},
    ),
    "two processes, LoRA": (TWO, {"n_epochs": 20, "adaptation": "lora"}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_folder(tmp_path_factory.mktemp("resume"), num_records=26)


def started(folder: Path, name: str, settings: dict[str, str]) -> TrainerProcess:
    home = folder / name.replace(" ", "-").replace(",", "")
    running = TrainerProcess(folder, {**COMMON, **settings, "COMD_HOME": str(home)})
    home.mkdir(exist_ok=True)
    running.start()
    return running


@pytest.fixture
def alone(folder: Path, request: pytest.FixtureRequest) -> Iterator[TrainerProcess]:
    running = started(folder, request.node.name, {})
    yield running
    running.stop()


def ranks(trainer: TrainerProcess, others: set[int]) -> list[int]:
    """The processes that have come since: the job's."""
    return [pid for pid in trainer.family() if pid not in others and alive(pid)]


def forked_ranks(trainer: TrainerProcess, others: set[int]) -> list[int]:
    """Those of them that the warm parent has forked, once they are there."""
    until(lambda: bool(_forked(trainer) - others), 30, pause_s=0.01)
    return sorted(_forked(trainer) - others)


def _forked(trainer: TrainerProcess) -> set[int]:
    found: set[int] = set()
    for parent in warm_parents(trainer):
        with contextlib.suppress(FileNotFoundError):
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
            found |= {int(pid) for pid in children if alive(int(pid))}
    return found


def warm_parents(trainer: TrainerProcess) -> list[int]:
    """The warm parent, if it lives just now."""
    return [pid for pid in trainer.family() if "launch.launcher" in command_line(pid)]


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        return ""


def stopped_in_a_state(rank: int, states: Path) -> bool:
    """Whether the process stands still while a state is unfinished; else it goes on."""

    def is_torn() -> bool:
        return any(not (folder / MARKER).exists() for folder in states.glob("checkpoint-*"))

    if not is_torn():
        return False
    os.kill(rank, signal.SIGSTOP)
    if is_torn():
        return True
    os.kill(rank, signal.SIGCONT)
    return False


def kill(trainer: TrainerProcess, job_id: str, victim: str, others: set[int]) -> None:
    """SIGKILL one process, and start the service again where it was the service."""
    if victim == "rank while a state is written":
        states = trainer.job_folder(job_id) / "states"
        rank = random.choice(forked_ranks(trainer, others))
        until(lambda: stopped_in_a_state(rank, states), 60, pause_s=0.001)
        os.kill(rank, signal.SIGKILL)
    elif victim == "service":
        assert trainer.process is not None
        family = trainer.family()
        trainer.process.kill()
        trainer.process.wait()
        until(lambda: not any(alive(pid) for pid in family), 5)
        trainer.start()
    elif victim == "warm parent":
        os.kill(warm_parents(trainer)[0], signal.SIGKILL)
    else:
        os.kill(random.choice(forked_ranks(trainer, others)), signal.SIGKILL)


@pytest.mark.parametrize("shape", SHAPES)
def test_killed_at_random_moments_it_ends_as_if_undisturbed(folder: Path, shape: str) -> None:
    settings, fields = SHAPES[shape]
    trainer = started(folder, shape, settings)
    try:
        file_id = trainer.upload()
        calm = trainer.over(trainer.create(file_id, **fields)["id"])
        assert calm["status"] == "succeeded", calm
        others = set(trainer.family())
        job = trainer.create(file_id, suffix="rough", **fields)
        for victim in ("rank", "warm parent", "rank while a state is written", "service"):
            ahead = trainer.step(job["id"]) + random.randrange(STEPS_BETWEEN_STATES, 9)
            until(lambda ahead=ahead: trainer.step(job["id"]) >= ahead, 60, pause_s=0.01)  # type: ignore[misc]
            assert trainer.job(job["id"])["status"] == "running"
            kill(trainer, job["id"], victim, others)
        rough = trainer.over(job["id"])
        assert rough["status"] == "succeeded", rough
        num_steps = fields.get("max_steps") or 4 * fields["n_epochs"]
        assert len(trainer.losses(calm["id"])) == calm["metrics"]["total_steps"] == num_steps
        assert trainer.losses(job["id"]) == trainer.losses(calm["id"])
        assert rough["fine_tuned_model"] == calm["fine_tuned_model"]
        assert rough["metrics"]["train_loss"] == calm["metrics"]["train_loss"]
        said = trainer.messages(job["id"])
        assert sum(message.startswith("Goes on from step") for message in said) >= 3
        assert any(message.endswith("was unfinished and is removed") for message in said)
        left = {path.name for path in trainer.job_folder(job["id"]).iterdir()}
        assert not left & {"states", "weights", "prepared"}
    finally:
        trainer.stop()


def test_a_killed_launcher_of_fresh_processes_leaves_nobody_behind(folder: Path) -> None:
    trainer = started(folder, "torchrun", {**TWO, "COMD_TRAINER_LAUNCHER": "torchrun"})
    try:
        file_id = trainer.upload()
        others = set(trainer.family())
        job = trainer.create(file_id, n_epochs=15)
        until(lambda: trainer.step(job["id"]) > STEPS_BETWEEN_STATES, 120)
        ours = ranks(trainer, others)
        launcher = next(pid for pid in ours if "torch.distributed.run" in command_line(pid))
        os.kill(launcher, signal.SIGKILL)
        until(lambda: not any(alive(pid) for pid in ours), 5)
        done = trainer.over(job["id"], timeout_s=180)
        assert done["status"] == "succeeded", done
        assert any(message.startswith("Goes on from step") for message in trainer.messages(job["id"]))
        assert len(trainer.losses(job["id"])) == 60
    finally:
        trainer.stop()


def test_deepspeeds_own_launcher_trains_the_same_by_hostfile(folder: Path, alone: TrainerProcess) -> None:
    (folder / "hosts").write_text("localhost slots=1\n")
    trainer = started(folder, "deepspeed", {"COMD_TRAINER_HOSTFILE": str(folder / "hosts")})
    try:
        done = trainer.over(trainer.create(trainer.upload())["id"], timeout_s=180)
        assert done["status"] == "succeeded", done
        forked = alone.over(alone.create(alone.upload())["id"])
        assert done["fine_tuned_model"] == forked["fine_tuned_model"]
    finally:
        trainer.stop()


def test_a_paused_job_lets_others_through_and_goes_on_where_it_was(alone: TrainerProcess) -> None:
    file_id = alone.upload()
    calm = alone.over(alone.create(file_id, n_epochs=40)["id"])
    job = alone.create(file_id, n_epochs=40, suffix="paused")
    until(lambda: alone.step(job["id"]) >= 3, 60)
    assert alone.act(job["id"], "pause").status_code == 200
    until(lambda: alone.job(job["id"])["status"] == "paused", 30)
    other = alone.over(alone.create(file_id, seed=9)["id"])
    assert other["status"] == "succeeded"
    assert alone.job(job["id"])["status"] == "paused"
    stopped_at = max(alone.losses(job["id"]))
    assert alone.act(job["id"], "resume").status_code == 200
    done = alone.over(job["id"])
    assert done["fine_tuned_model"] == calm["fine_tuned_model"]
    assert alone.losses(job["id"]) == alone.losses(calm["id"])
    assert f"Goes on from step {stopped_at}" in alone.messages(job["id"])


def test_other_devices_are_refused_with_the_way_out(folder: Path) -> None:
    trainer = started(folder, "devices", TWO)
    try:
        job = trainer.create(trainer.upload(), n_epochs=15)
        until(lambda: trainer.step(job["id"]) > STEPS_BETWEEN_STATES, 60)
        trainer.stop()
        trainer.settings["COMD_TRAINER_NUM_DEVICES"] = "1"
        trainer.start()
        until(lambda: trainer.job(job["id"])["status"] == "paused", 60)
        assert (
            "trainer.num_devices (with hostfile: of all nodes) was 2, is 1" in trainer.messages(job["id"])[0]
        )
        assert "from_start" in trainer.messages(job["id"])[0]
        assert trainer.act(job["id"], "resume", from_start=True).status_code == 200
        done = trainer.over(job["id"])
        assert done["status"] == "succeeded", done
        assert len(trainer.losses(job["id"])) == 60
    finally:
        trainer.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 24 MB."""
    if os.geteuid():
        pytest.skip("mounting a small file system needs root")
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> None:
    """Write until nothing more can be written."""
    with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
        while ballast.write(bytes(65536)):
            pass


def test_a_full_disk_pauses_the_job_and_harms_nothing(
    folder: Path, small_disk: Path, alone: TrainerProcess
) -> None:
    calm = alone.over(alone.create(alone.upload(), n_epochs=40)["id"])
    trainer = TrainerProcess(folder, {**COMMON, "COMD_HOME": str(small_disk)})
    trainer.start()
    try:
        job = trainer.create(trainer.upload(), n_epochs=40)
        until(lambda: trainer.step(job["id"]) > STEPS_BETWEEN_STATES, 60)
        fill(small_disk)
        until(lambda: trainer.job(job["id"])["status"] == "paused", 60)
        assert "is full" in trainer.messages(job["id"])[0]
        assert "Free some space, then resume the job" in trainer.messages(job["id"])[0]
        states = trainer.job_folder(job["id"]) / "states"
        assert [path for path in states.glob("checkpoint-*") if (path / MARKER).exists()]
        assert all((path / MARKER).exists() for path in states.glob("checkpoint-*"))
        big = {"file": ("big.jsonl", (folder / "train.jsonl").read_bytes() * 400)}
        refused = trainer.call("POST", "/v1/files", files=big, data={"purpose": "fine-tune"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (507, "disk_full")
        (small_disk / "ballast").unlink()
        trainer.act(job["id"], "resume")
        done = trainer.over(job["id"])
        assert done["status"] == "succeeded", done
        assert done["fine_tuned_model"] == calm["fine_tuned_model"]
    finally:
        trainer.stop()
