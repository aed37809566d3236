"""From the parts on disk to a student on disk: reading, vocabulary, template, projector, trial, saving."""

import os
import shutil
from typing import Any

import torch

from comd.student import assembly, projector, reading, templates, trial, vocabulary
from comd.student.plan import DTYPES, PROJECTORS, Made, Plan
from services.trainer.training.publish import normalise_names
from shared.errors import ConfigError

_TORCH = dict(zip(DTYPES, (torch.float32, torch.bfloat16, torch.float16), strict=True))


def make_student(plan: Plan) -> Made:
    """Builds and proves the student, then writes it; `plan.out` appears when it is whole."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    check_plan(plan)
    model, processor = _build(plan)
    made = _made(model, processor.tokenizer)
    out = plan.out.resolve()
    draft = out.with_name(f".{out.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    model.save_pretrained(draft, max_shard_size="1TB")  # one file, so that its names can be mended
    processor.save_pretrained(draft)
    del model  # mending reads the weights once more: they are never in memory twice
    normalise_names(draft / "model.safetensors")
    # safetensors writes for its own user alone; a server may run as another.
    (draft / "model.safetensors").chmod((draft / "config.json").stat().st_mode)
    draft.rename(out)
    return made


def _build(plan: Plan) -> tuple[Any, Any]:
    """Model and processor, proven to fit together; what is small is read and refused first."""
    text, vision = reading.language_config(plan.llm), reading.tower_config(plan.vision)
    projector.settings(plan.projector, vision.hidden_size, text.hidden_size)
    tokenizer, images = reading.tokenizer(plan.llm), reading.image_processor(plan.vision)
    template = templates.choose(tokenizer, plan.chat_template)
    num_known = vocabulary.size(tokenizer)
    vocabulary.complete(tokenizer, template)
    llm = reading.language_model(plan.llm, text, _TORCH[plan.dtype] if plan.dtype else None)
    tower = reading.vision_tower(plan.vision, vision, llm.dtype)
    vocabulary.fit(llm, tokenizer, num_known)
    model = assembly.student(llm, tower, tokenizer, plan.projector, plan.seed)
    processor = assembly.processor(tower, tokenizer, images, template)
    picture = trial.blank_picture(processor)
    trial.check_template(processor, picture)
    trial.check_student(model, llm, processor, picture)
    return model, processor


def check_plan(plan: Plan) -> None:
    """ConfigError for what can be seen before seconds or minutes of reading."""
    for name, value, known in (("projector", plan.projector, PROJECTORS), ("dtype", plan.dtype, DTYPES)):
        if value is not None and value not in known:
            raise ConfigError(f"--{name} {value!r}: expected {' or '.join(known)}")
    if plan.out.exists() and (not plan.out.is_dir() or any(plan.out.iterdir())):
        raise ConfigError(f"{plan.out}: is there already and is not empty; name a new folder for the student")


def _made(model: Any, tokenizer: Any) -> Made:
    parts = {
        "language model": [model.model.language_model, model.lm_head],
        "vision tower": [model.model.vision_tower],
        "projector": [model.model.multi_modal_projector],
    }
    text = model.config.get_text_config()
    return Made(
        parameters={name: _count(modules) for name, modules in parts.items()},
        dtype=next(name for name, dtype in _TORCH.items() if dtype == model.dtype),
        image_tokens=model.config.image_seq_length,
        context=int(text.max_position_embeddings),
        stop_token=tokenizer.eos_token,
    )


def _count(modules: list[Any]) -> int:
    parameters = {id(p): p.numel() for module in modules for p in module.parameters()}
    return sum(parameters.values())
