"""The training program of one rank. In: a job's plan. Out: trained weights in the job's folder, and lines
of progress. transformers' Trainer, DeepSpeed, our records.
"""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import torch

from comd.engine.dialogue import Renderer
from comd.engine.pictures import Pictures
from services.trainer.plan import Plan
from services.trainer.training.collator import Collator
from services.trainer.training.dataset import Examples, Preparation, Prepared
from services.trainer.training.families import set_trainable
from shared.errors import ComdError, ConfigError
from shared.images import ImageStore

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def import_everything() -> None:
    """What a rank needs and the warm parent can have imported for it."""
    import deepspeed
    import deepspeed.runtime.engine
    import transformers.integrations.deepspeed
    import transformers.trainer
    from transformers import AutoModelForImageTextToText, AutoProcessor, Trainer, TrainingArguments

    assert all(
        (deepspeed, transformers, AutoModelForImageTextToText, AutoProcessor, Trainer, TrainingArguments)
    )


def main(arguments: dict[str, Any]) -> None:
    """One rank's life. Errors that name a cause end it with status 3, the cause on the last line."""
    plan = Plan(**arguments)  # type: ignore[typeddict-item]
    try:
        _run(plan)
    except ComdError as error:
        print(f"error: {error.message}", flush=True)
        raise SystemExit(3) from error


def _run(plan: Plan) -> None:
    from transformers import AutoProcessor

    started = time.perf_counter()
    torch.set_num_threads(plan["threads"])
    _join()
    folder = Path(plan["folder"])
    processor = AutoProcessor.from_pretrained(plan["model"])
    pictures = Pictures(processor, ImageStore(plan["image_store"]))
    preparation = Preparation(Renderer(processor), pictures, plan["max_length"], plan["seed"])
    prepared = preparation.file(Path(plan["training_file"]), needs_picture=plan["stage"] == "pretrain")
    steps = plan["n_epochs"] * math.ceil(len(prepared.examples) / plan["batch_size"])
    trainer = _trainer(plan, prepared, steps, Collator(pictures, processor.tokenizer.pad_token_id or 0))
    progress = _Progress(folder / "progress.jsonl", plan, prepared, steps, time.perf_counter() - started)
    trainer.add_callback(progress.callback())
    trainer.train()
    trainer.save_model(str(folder / "weights"))
    if trainer.is_world_process_zero():
        processor.save_pretrained(folder / "weights")
        progress.end()


def _join() -> None:
    import deepspeed

    if not torch.cuda.is_available():
        # The shared-memory collective would be compiled just in time: 95 s, or a crash without a compiler.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    deepspeed.init_distributed(dist_backend=backend, verbose=False)


def _trainer(plan: Plan, prepared: Prepared, steps: int, collator: Collator) -> Any:
    from transformers import AutoModelForImageTextToText, Trainer, TrainingArguments, set_seed

    world = int(os.environ["WORLD_SIZE"])
    micro, accumulation = micro_batches(plan["batch_size"], world, plan["micro_batch_size"])
    set_seed(plan["seed"])
    arguments = TrainingArguments(
        output_dir=str(Path(plan["folder"]) / "trainer"),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        num_train_epochs=plan["n_epochs"],
        learning_rate=plan["learning_rate"],
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(plan["warmup_ratio"] * steps),
        weight_decay=0.0,
        optim="adamw_torch",
        max_grad_norm=1.0,
        bf16=plan["dtype"] == "bf16",
        use_cpu=not torch.cuda.is_available(),
        seed=plan["seed"],
        save_strategy="no",
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        deepspeed=deepspeed_config(plan, micro, accumulation),
    )
    # The arguments come first: under ZeRO-3 they decide how the model is loaded.
    model = AutoModelForImageTextToText.from_pretrained(plan["model"], dtype=DTYPES[plan["dtype"]])
    set_trainable(model, plan["stage"])
    model.config.use_cache = False
    return Trainer(
        model=model, args=arguments, train_dataset=Examples(prepared.examples), data_collator=collator
    )


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
    return {
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": accumulation,
        "gradient_clipping": 1.0,
        "steps_per_print": 1_000_000,
        "zero_optimization": {
            "stage": plan["zero_stage"],
            "stage3_gather_16bit_weights_on_model_save": True,
        },
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "bf16": {"enabled": plan["dtype"] == "bf16"},
    }


class _Progress:
    """Lines of progress that the service reads; only the first rank writes."""

    def __init__(self, path: Path, plan: Plan, prepared: Prepared, steps: int, start_up_s: float):
        self.writes = os.environ["RANK"] == "0"
        self.path, self.batch_size, self.steps = path, plan["batch_size"], steps
        self.tokens = prepared.tokens * plan["n_epochs"]
        self.losses: list[float] = []
        self.begun = time.perf_counter()
        self._write(
            kind="prepared",
            total_steps=steps,
            records=prepared.records,
            turns=prepared.turns,
            left_out=prepared.left_out,
            tokens=self.tokens,
            start_up_s=round(start_up_s, 2),
        )

    def callback(self) -> Any:
        from transformers import TrainerCallback

        progress = self

        class Writes(TrainerCallback):  # type: ignore[misc]
            def on_train_begin(self, *_: Any, **__: Any) -> None:
                progress.begun = time.perf_counter()

            def on_log(self, _: Any, state: Any, __: Any, logs: dict[str, Any], **___: Any) -> None:
                if "loss" in logs:
                    progress.step(int(state.global_step), float(logs["loss"]), float(logs["learning_rate"]))

        return Writes()

    def step(self, step: int, loss: float, learning_rate: float) -> None:
        self.losses.append(loss)
        seconds = max(time.perf_counter() - self.begun, 1e-9)
        self._write(
            kind="step",
            step=step,
            loss=loss,
            learning_rate=learning_rate,
            samples_per_s=round(step * self.batch_size / seconds, 2),
            time_left_s=round(seconds / step * (self.steps - step), 1),
        )

    def end(self) -> None:
        mean = sum(self.losses) / max(len(self.losses), 1)
        self._write(kind="trained", train_loss=mean, trained_tokens=self.tokens)

    def _write(self, **line: Any) -> None:
        if self.writes:
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")
