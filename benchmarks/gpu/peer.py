"""The peer: TRL's SFTTrainer on the same student, records, batch and DeepSpeed configuration. One rank, under torchrun.

In: `python -m benchmarks.gpu.peer PLAN LINES`, in an environment that has TRL. Out: a line for each step in LINES.
"""

import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import orjson
from datasets import Dataset
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, TrainerCallback
from trl import SFTConfig, SFTTrainer

from services.trainer.plan import Plan
from services.trainer.training.arguments import deepspeed_config, micro_batches
from services.trainer.training.callbacks import peak_memory_bytes, write_line
from services.trainer.training.families import set_trainable
from services.trainer.training.lora import adapter_config
from services.trainer.training.program import join
from services.trainer.training.student import DTYPES, attention
from shared.images import ImageStore
from shared.types import IMAGE_SCHEME


class WritesLines(TrainerCallback):  # type: ignore[misc]
    """What a job's progress also says; written when the loss is known, so that the device is done with the step."""

    def __init__(self, path: Path):
        self.path, self.begun = path, 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.begun = time.perf_counter()

    def on_log(self, _: Any, state: Any, __: Any, logs: dict[str, Any], **___: Any) -> None:
        if "loss" in logs and state.is_world_process_zero:
            seconds = time.perf_counter() - self.begun
            write_line(
                self.path,
                step=int(state.global_step),
                seconds=seconds,
                loss=float(logs["loss"]),
                num_tokens=int(logs["num_tokens"]),
                peak_memory_bytes=peak_memory_bytes(),
            )


def records(plan: Plan) -> list[dict[str, Any]]:
    """The training file as TRL takes it: messages of typed parts, and pictures beside them."""
    made = []
    for line in plan.training_file.read_text(encoding="utf-8").splitlines():
        user, assistant = json.loads(line)["messages"]
        url, question = user["content"][0]["image_url"]["url"], user["content"][1]["text"]
        asked = [{"type": "image", "text": None}, {"type": "text", "text": question}]
        said = [{"type": "text", "text": assistant["content"]}]
        turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
        made.append({"messages": turns, "images": [url.removeprefix(IMAGE_SCHEME)]})
    return made


def dataset(plan: Plan) -> Any:
    """Pictures are opened when a batch is made, in the loader's processes, as in our job."""
    store = ImageStore(plan.image_store)

    def opened(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        batch["images"] = [[_image(store, name) for name in names] for names in batch["images"]]
        return batch

    return Dataset.from_list(records(plan)).with_transform(opened)


def _image(store: ImageStore, name: str) -> Any:
    return Image.open(io.BytesIO(store.read(name))).convert("RGB")


def config(plan: Plan) -> Any:
    """The settings of the job's own arguments, in TRL's words."""
    devices, given = plan.devices, plan.hyperparameters
    micro, accumulation = micro_batches(given.batch_size, devices.num_processes, devices.micro_batch_size)
    return SFTConfig(
        output_dir=str(plan.folder / "peer"),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        num_train_epochs=given.n_epochs,
        learning_rate=plan.learning_rate,
        lr_scheduler_type="cosine",
        weight_decay=0.0,
        optim="adamw_torch_fused" if devices.gpu else "adamw_torch",
        max_grad_norm=1.0,
        bf16=devices.dtype == "bf16",
        gradient_checkpointing=devices.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        use_cpu=not devices.gpu,
        seed=plan.seed,
        save_strategy="no",
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=devices.gpu,
        dataloader_num_workers=devices.loader_workers,
        deepspeed=deepspeed_config(plan, micro, accumulation),
        max_length=None,
        assistant_only_loss=True,
    )


def main() -> None:
    plan, lines = Plan(**orjson.loads(Path(sys.argv[1]).read_bytes())), Path(sys.argv[2])
    join(plan.devices.gpu, plan.devices.num_processes)
    arguments = config(plan)
    model = AutoModelForImageTextToText.from_pretrained(
        plan.model, dtype=DTYPES[plan.devices.dtype], attn_implementation=attention(plan)
    )
    model.config.use_cache = False
    if plan.adaptation == "full":
        set_trainable(model, plan.stage)
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=dataset(plan),
        processing_class=AutoProcessor.from_pretrained(plan.model),
        peft_config=adapter_config(model, plan) if plan.adaptation == "lora" else None,
        callbacks=[WritesLines(lines)],
    )
    trainer.train()


if __name__ == "__main__":
    main()
