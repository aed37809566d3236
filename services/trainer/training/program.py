"""The training program of one rank. In: a job's plan. Out: trained weights in the job's folder, and lines of
progress. transformers' Trainer, DeepSpeed, our records.
"""

import json
import math
import time
from typing import Any

import torch
import torch.distributed as dist
from transformers import Trainer, set_seed

from comd.engine.pictures import Pictures, blank
from comd.engine.processor import copy_processor, load_processor
from services.trainer import durable, endings, training_states
from services.trainer.plan import Plan
from services.trainer.training.arguments import training_arguments
from services.trainer.training.callbacks import (
    MarksStates,
    SetsEpoch,
    StopsWhenAsked,
    WritesProgress,
    write_line,
)
from services.trainer.training.collator import Collator
from services.trainer.training.order import GroupedByLength, epoch_order, padding_share
from services.trainer.training.prepared import Examples
from services.trainer.training.student import load_student
from shared.errors import ConfigError
from shared.images import ImageStore


def main(arguments: dict[str, Any]) -> None:
    """One rank's life; how it ended is told in the job's folder."""
    plan = Plan(**arguments)
    with endings.told(plan.folder):
        _run(plan, time.perf_counter())


def _run(plan: Plan, started: float) -> None:
    if not plan.devices.gpu:
        torch.set_num_threads(plan.devices.threads)
    join(plan.devices.gpu, plan.devices.num_processes)
    examples = Examples(plan.prepared)
    steps_per_epoch = math.ceil(len(examples) / plan.hyperparameters.batch_size)
    steps = plan.hyperparameters.max_steps or plan.hyperparameters.n_epochs * steps_per_epoch
    num_tokens = round(examples.counts.tokens * steps / steps_per_epoch)  # whole epochs exactly
    set_seed(plan.seed % 2**32)
    arguments = training_arguments(plan, steps)  # before the model: under ZeRO-3 they decide how it is loaded
    order = _order(plan, examples)
    progress = _progress(plan, examples)
    stops = StopsWhenAsked(plan.stop)
    callbacks: list[Any] = [MarksStates(plan), stops, progress]
    callbacks += [SetsEpoch(order, steps_per_epoch)] if order else []
    trainer = StudentTrainer(
        order=order,
        alone=plan.devices.num_processes == 1 and plan.devices.zero_stage == 0,
        model=load_student(plan),
        args=arguments,
        train_dataset=examples,
        data_collator=_collator(plan, examples),
        callbacks=callbacks,
    )
    if trainer.is_world_process_zero():
        _say_what_is_ready(plan, examples, order, steps, num_tokens, time.perf_counter() - started)
    trainer.train(resume_from_checkpoint=str(plan.resume_from) if plan.resume_from else None)
    if stops.stopped:
        if trainer.is_world_process_zero():
            endings.say(plan.folder, endings.Ending("paused", "stopped after a step, as asked"))
        return
    _save(plan, trainer, num_tokens, progress.losses)


class StudentTrainer(Trainer):  # type: ignore[misc]
    """transformers' Trainer with our order of records, and states that hold the weights only once."""

    def __init__(self, order: GroupedByLength | None, alone: bool, **options: Any):
        self._order, self._alone = order, alone
        super().__init__(**options)

    def training_step(self, model: Any, *rest: Any, **options: Any) -> Any:
        if self._alone:
            # As DeepSpeed itself does without a backend: else gradients are copied and handed to a thread and back.
            model.enable_backward_allreduce = False
        return super().training_step(model, *rest, **options)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        # transformers' estimate takes frozen weights for trained ones, and walks over all modules at each step.
        return 0

    def store_flos(self) -> None:
        pass  # else a collective at each step, to add up the zeros above

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return self._order or super()._get_train_sampler(train_dataset)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        # DeepSpeed's state has the weights; gathered they would be written a second time.
        if not _internal_call:
            super().save_model(output_dir)


def join(gpu: bool, num_processes: int) -> None:
    """Meet the other ranks. ConfigError where there are more or fewer than planned."""
    import deepspeed

    if not gpu:
        # The shared-memory collective would be compiled just in time: 95 s, or a crash without a compiler.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="nccl" if gpu else "gloo", verbose=False)
    if (found := dist.get_world_size()) != num_processes:
        raise ConfigError(
            f"expected {num_processes} processes, got {found}; see num_devices and the hostfile"
        )


def _order(plan: Plan, examples: Examples) -> GroupedByLength | None:
    if not plan.group_by_length:
        return None
    return GroupedByLength(examples.lengths, plan.hyperparameters.batch_size, plan.seed)


def _collator(plan: Plan, examples: Examples) -> Collator:
    processor = load_processor(plan.model)
    pictures = Pictures(processor, ImageStore(plan.image_store))
    stand_in = blank(processor) if examples.has_pictures else None
    return Collator(pictures, processor.tokenizer.pad_token_id or 0, stand_in)


def _progress(plan: Plan, examples: Examples) -> WritesProgress:
    earlier = []
    if plan.resume_from is not None:
        lines = [json.loads(line) for line in plan.progress.read_text().splitlines()]
        earlier = [float(line["loss"]) for line in lines if line["kind"] == "step"]
    mean = examples.counts.tokens / max(len(examples), 1)
    return WritesProgress(plan.progress, plan.hyperparameters.batch_size, mean, earlier)


def _say_what_is_ready(
    plan: Plan,
    examples: Examples,
    order: GroupedByLength | None,
    steps: int,
    num_tokens: int,
    seconds: float,
) -> None:
    counts, lengths = examples.counts, examples.lengths
    taken = epoch_order(lengths, order.batch_size, order.seed, 0) if order else list(range(len(lengths)))
    write_line(
        plan.progress,
        kind="prepared",
        total_steps=steps,
        records=counts.records,
        turns=counts.turns,
        left_out=counts.left_out,
        tokens=num_tokens,
        padding_share=round(padding_share(lengths, taken, plan.shape.micro_batch_size), 4),
        num_devices=plan.devices.num_processes,
        start_up_s=round(seconds, 2),
    )


def _save(plan: Plan, trainer: Any, num_tokens: int, losses: list[float]) -> None:
    trainer.save_model(str(plan.weights))
    if trainer.is_world_process_zero():
        copy_processor(plan.model, plan.weights)
        training_states.flush(plan.weights)
        trained = {
            "train_loss": sum(losses) / max(len(losses), 1),
            "trained_tokens": num_tokens,
        }
        write_line(plan.progress, kind="trained", **trained)
        durable.write(plan.trained, json.dumps(trained).encode())
    dist.barrier()
