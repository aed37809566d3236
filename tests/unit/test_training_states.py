"""Training states: a state without its marker does not exist; other devices are named; endings are told."""

import errno
from pathlib import Path

import pytest

from services.trainer import endings, training_states
from services.trainer.endings import Ending
from services.trainer.training_states import Shape
from shared.errors import Unprocessable

SHAPE = Shape(num_processes=2, zero_stage=2, dtype="fp32", micro_batch_size=4)


def state(job: Path, step: int, whole: bool = True) -> Path:
    folder = training_states.states_folder(job) / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "optimizer.pt").write_bytes(b"x")
    if whole:
        training_states.mark_whole(folder, step, SHAPE)
    return folder


def test_the_newest_whole_state_is_taken_and_torn_ones_are_removed(tmp_path: Path) -> None:
    assert training_states.newest(tmp_path) is None
    for step in (5, 10):
        state(tmp_path, step)
    torn = state(tmp_path, 15, whole=False)
    found = training_states.newest(tmp_path)
    assert found is not None
    assert (found.step, found.shape) == (10, SHAPE)
    assert training_states.remove_torn(tmp_path) == ["checkpoint-15"]
    assert not torn.exists()
    assert found.folder.is_dir()


def test_other_devices_are_named() -> None:
    other = Shape(num_processes=1, zero_stage=3, dtype="fp32", micro_batch_size=4)
    said = training_states.difference(SHAPE, other) or ""
    assert "num_devices (with hostfile: of all nodes) was 2, is 1" in said
    assert "zero_stage was 2, is 3" in said
    assert "dtype" not in said
    assert training_states.difference(SHAPE, SHAPE) is None


def raised(error: Exception, folder: Path) -> Ending | None:
    with pytest.raises(SystemExit), endings.told(folder):
        raise error
    return endings.read(folder)


def test_an_error_of_ours_is_told_with_its_code(tmp_path: Path) -> None:
    ending = raised(Unprocessable("line 3: is empty", code="labels_mismatch"), tmp_path)
    assert ending == Ending("failed", "line 3: is empty", "labels_mismatch")


def test_a_full_disk_is_told_through_the_errors_that_wrap_it(tmp_path: Path) -> None:
    wrapped = RuntimeError("cannot save")
    wrapped.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    ending = raised(wrapped, tmp_path)
    assert ending is not None
    assert ending.how == "disk_full"
    assert "Free some space, then resume the job" in ending.message


def test_a_rank_that_lost_another_says_nothing(tmp_path: Path) -> None:
    assert (
        raised(RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer [127.0.0.1]"), tmp_path)
        is None
    )


def test_the_first_word_counts_and_is_forgotten_before_the_next_attempt(tmp_path: Path) -> None:
    assert endings.read(tmp_path) is None
    first = raised(ValueError("first\nsecond line"), tmp_path)
    assert first == Ending("failed", "ValueError: first", "training_failed")
    assert raised(ValueError("later"), tmp_path) == first
    endings.forget(tmp_path)
    assert endings.read(tmp_path) is None
