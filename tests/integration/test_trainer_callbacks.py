"""What happens around a training's steps: the sampler's epoch, lines of progress that go on after a resume."""

from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest

from services.trainer.training.callbacks import SetsEpoch, WritesProgress
from services.trainer.training.order import GroupedByLength


def test_the_sampler_is_in_the_epoch_of_the_step() -> None:
    order = GroupedByLength(list(range(1, 31)), 4, 0)
    callback = SetsEpoch(order, steps_per_epoch=8)
    seen = []
    for step in (0, 8, 20, 24):  # at 20 a resume in the middle of the third epoch
        callback.on_epoch_begin(None, SimpleNamespace(global_step=step), None)
        seen.append((order.epoch, tuple(order)))
    assert [epoch for epoch, _ in seen] == [0, 1, 2, 3]
    assert len({taken for _, taken in seen}) == 4


def test_progress_goes_on_behind_the_steps_before_a_resume(tmp_path: Path) -> None:
    progress = WritesProgress(tmp_path / "p", batch_size=16, tokens_per_record=50.0, earlier=[3.0, 2.0])
    progress.on_train_begin()
    state = SimpleNamespace(global_step=3, max_steps=5, is_world_process_zero=True)
    progress.on_log(None, state, None, {"loss": 1.0, "learning_rate": 0.5})
    other = SimpleNamespace(global_step=3, max_steps=5, is_world_process_zero=False)
    progress.on_log(None, other, None, {"loss": 9.0, "learning_rate": 0.5})
    (line,) = [orjson.loads(raw) for raw in (tmp_path / "p").read_bytes().splitlines()]
    assert (line["step"], line["loss"], progress.losses) == (3, 1.0, [3.0, 2.0, 1.0])
    assert line["tokens_per_s"] == pytest.approx(line["samples_per_s"] * 50, rel=0.01)
    assert line["time_left_s"] == pytest.approx(2 * 16 / line["samples_per_s"], abs=0.1)
    assert line["peak_memory_bytes"] > 1_000_000
