"""The student to be trained. In: a plan. Out: a model whose trainable parameters are those of the stage."""

import importlib.util
from typing import Any

import torch

from services.trainer.plan import Plan
from services.trainer.training.families import set_trainable
from services.trainer.training.lora import with_adapter

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def load_student(plan: Plan) -> Any:
    """The model, loaded and frozen as its stage wants. ConfigError where its class is not known."""
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(
        plan.model, dtype=DTYPES[plan.devices.dtype], attn_implementation=attention(plan)
    )
    model.config.use_cache = False
    if plan.adaptation == "lora":
        return with_adapter(model, plan)
    set_trainable(model, plan.stage, plan.families)
    return model


def attention(plan: Plan) -> str:
    """FlashAttention where it is installed and can be used, else torch's own fused attention."""
    asked = plan.devices.attention
    if asked != "auto":
        return asked
    flash = importlib.util.find_spec("flash_attn") is not None
    return "flash_attention_2" if flash and plan.devices.gpu and plan.devices.dtype != "fp32" else "sdpa"
