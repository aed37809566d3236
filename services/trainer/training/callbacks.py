"""What happens around the steps of a training. In: transformers' events. Out: lines of progress, whole training
states, a stop where the service asks for one.
"""

import json
import resource
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback

from services.trainer import training_states
from services.trainer.plan import Plan
from services.trainer.training.order import GroupedByLength


class SetsEpoch(TrainerCallback):  # type: ignore[misc]
    """Tells the sampler its epoch; accelerate does not reach it after a resume on several devices."""

    def __init__(self, order: GroupedByLength, steps_per_epoch: int):
        self.order, self.steps_per_epoch = order, steps_per_epoch

    def on_epoch_begin(self, _: Any, state: Any, __: Any, **___: Any) -> None:
        self.order.epoch = state.global_step // self.steps_per_epoch


class MarksStates(TrainerCallback):  # type: ignore[misc]
    """Makes a saved training state exist: every file flushed, then the marker."""

    def __init__(self, plan: Plan):
        self.plan = plan

    def on_step_end(self, _: Any, state: Any, control: Any, **__: Any) -> None:
        if state.global_step >= state.max_steps:
            control.should_save = False  # the weights themselves come next

    def on_save(self, _: Any, state: Any, __: Any, **___: Any) -> None:
        folder = self.plan.states / f"{training_states.PREFIX}{state.global_step}"
        dist.barrier()
        if state.is_local_process_zero:
            training_states.flush(folder)
        dist.barrier()
        if state.is_world_process_zero:
            training_states.mark_whole(folder, state.global_step, self.plan.shape)


class StopsWhenAsked(TrainerCallback):  # type: ignore[misc]
    """Saves and stops all ranks after the step in which the first one has seen the stop file."""

    def __init__(self, file: Path):
        self.file, self.stopped = file, False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        asked = torch.tensor([int(state.is_world_process_zero and self.file.exists())], device=args.device)
        if dist.get_world_size() > 1:
            dist.broadcast(asked, 0)
        if asked.item() and state.global_step < state.max_steps:
            self.stopped = control.should_save = control.should_training_stop = True


class WritesProgress(TrainerCallback):  # type: ignore[misc]
    """A line for each step, which the service reads; only the first rank writes."""

    def __init__(self, path: Path, batch_size: int, tokens_per_record: float, earlier: list[float]):
        self.path, self.batch_size, self.tokens_per_record = path, batch_size, tokens_per_record
        self.losses = earlier  # of the steps before the state that training goes on from
        self.first_step, self.begun = len(earlier), time.perf_counter()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.begun = time.perf_counter()

    def on_log(self, _: Any, state: Any, __: Any, logs: dict[str, Any], **___: Any) -> None:
        if "loss" not in logs or not state.is_world_process_zero:
            return
        self.losses.append(float(logs["loss"]))
        seconds = max(time.perf_counter() - self.begun, 1e-9)
        steps_per_s = (state.global_step - self.first_step) / seconds
        samples_per_s = steps_per_s * self.batch_size
        write_line(
            self.path,
            kind="step",
            step=int(state.global_step),
            loss=self.losses[-1],
            learning_rate=float(logs["learning_rate"]),
            samples_per_s=round(samples_per_s, 2),
            tokens_per_s=round(samples_per_s * self.tokens_per_record, 1),
            peak_memory_bytes=peak_memory_bytes(),
            time_left_s=round((state.max_steps - state.global_step) / steps_per_s, 1),
        )


def peak_memory_bytes() -> int:
    """The most that this process has held: on its GPU, else in memory."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def write_line(path: Path, **line: Any) -> None:
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
