"""LoRA. In: a student, later its trained adapter. Out: the student with a fresh adapter, later merged weights."""

import json
import shutil
from pathlib import Path
from typing import Any

from services.trainer.plan import Plan
from services.trainer.settings import LORA
from services.trainer.training.families import linear_names, projector_modules


def with_adapter(model: Any, plan: Plan) -> Any:
    """A fresh adapter on the language model's linear layers; the projector is trained whole, as in the paper."""
    from peft import get_peft_model

    # An adapter in another precision than its base cannot be sharded by ZeRO-3.
    same = plan.devices.dtype == "fp32"
    return get_peft_model(model, adapter_config(model, plan), autocast_adapter_dtype=same)


def adapter_config(model: Any, plan: Plan) -> Any:
    """What a job adapts, and how; the LLaVA recipe's numbers where none are given."""
    from peft import LoraConfig

    given = plan.hyperparameters
    return LoraConfig(
        r=given.lora_rank or LORA["lora_rank"],
        lora_alpha=given.lora_alpha or LORA["lora_alpha"],
        lora_dropout=LORA["lora_dropout"] if given.lora_dropout is None else given.lora_dropout,
        target_modules=linear_names(model, families=plan.families),
        modules_to_save=projector_modules(model, plan.families),
    )


def is_adapter(folder: Path) -> bool:
    return (folder / "adapter_config.json").is_file()


def merged(model: Any, adapter: Path) -> Any:
    """The model with a trained adapter's weights added to its own."""
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()


def publish_adapter(adapter: Path, folder: Path, base: str) -> None:
    """The adapter by itself, its configuration in an order that is equal for equal adapters."""
    folder.mkdir()
    shutil.copyfile(adapter / "adapter_model.safetensors", folder / "adapter_model.safetensors")
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base  # by name: this machine's folder means nothing elsewhere
    for name in ("target_modules", "modules_to_save"):
        config[name] = sorted(config[name])  # peft keeps sets
    text = json.dumps(config, indent=2, sort_keys=True)
    (folder / "adapter_config.json").write_text(text, encoding="utf-8")
