"""transformers' and DeepSpeed's configuration. In: a plan and its number of steps. Out: TrainingArguments."""

import importlib.util
import math
import os
from typing import Any

from services.trainer.plan import Plan
from shared.errors import ConfigError

PROJECT = "comd"
KEPT_STATES = 2  # the newest may still be unfinished when the process is killed


def training_arguments(plan: Plan, steps: int) -> Any:
    """How the paper trains (section 4.1), on these devices. ConfigError where that cannot be."""
    from transformers import TrainingArguments

    devices, given = plan.devices, plan.hyperparameters
    micro, accumulation = micro_batches(given.batch_size, devices.num_processes, devices.micro_batch_size)
    return TrainingArguments(
        output_dir=str(plan.states),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        num_train_epochs=given.n_epochs,
        max_steps=given.max_steps or -1,  # -1: the epochs decide
        learning_rate=plan.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(given.warmup_ratio * steps),
        weight_decay=0.0,
        optim="adamw_torch_fused" if devices.gpu else "adamw_torch",
        max_grad_norm=1.0,
        bf16=devices.dtype == "bf16",
        fp16=devices.dtype == "fp16",
        activation_checkpointing=devices.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        use_cpu=not devices.gpu,
        seed=plan.seed % 2**32,
        # With one process this would be a collective at each step, for nothing.
        average_tokens_across_devices=devices.num_processes > 1,
        save_strategy="steps",
        save_steps=plan.save_every_steps,
        save_total_limit=KEPT_STATES,
        logging_steps=1,
        report_to=trackers(plan.tracking),
        run_name=plan.job,
        project=PROJECT,
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=devices.gpu,
        dataloader_num_workers=devices.loader_workers,
        deepspeed=deepspeed_config(plan, micro, accumulation),
    )


def trackers(names: list[str]) -> list[str]:
    """The trackers as transformers names them. ConfigError where one is not installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"trainer.tracking: {name} is not installed; install it, or leave it out")
    if "trackio" in names:
        os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    return names


def micro_batches(batch_size: int, world: int, micro: int | None) -> tuple[int, int]:
    """Records a device takes at once, and how often before a step. ConfigError where they do not divide."""
    share, rest = divmod(batch_size, world)
    micro = micro or share
    if rest or not share or share % micro:
        raise ConfigError(
            f"batch_size {batch_size} cannot be divided into {world} devices of micro-batches of {micro}; "
            "choose a multiple of their product"
        )
    return micro, share // micro


def deepspeed_config(plan: Plan, micro: int, accumulation: int) -> dict[str, Any]:
    """DeepSpeed's configuration; ZeRO by the plan, torch's AdamW (DeepSpeed's own would be compiled)."""
    zero: dict[str, Any] = {
        "stage": plan.devices.zero_stage,
        "stage3_gather_16bit_weights_on_model_save": True,
    }
    if plan.devices.offload:
        place = {"device": "cpu", "pin_memory": plan.devices.gpu}
        zero["offload_optimizer"] = place
        if plan.devices.zero_stage == 3:
            zero["offload_param"] = place
    return {
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": accumulation,
        "gradient_clipping": 1.0,
        "steps_per_print": 1_000_000,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "bf16": {"enabled": plan.devices.dtype == "bf16"},
        "fp16": {"enabled": plan.devices.dtype == "fp16"},
    }
