"""Builds the base model and writes it as transformers saves models, processor and chat template beside it."""

from pathlib import Path

import torch
from transformers import LlavaProcessor

from comd.student_base.alignment import align
from comd.student_base.architecture import PATCH, build, image_processor
from comd.student_base.reading import teach_reading
from comd.student_base.vocabulary import IMAGE, tokenizer

MIN_ALIGNMENT = 0.9
"""A tower that picks fewer of its words rightly cannot carry a student."""


def build_and_save(out: Path, seed: int) -> float:
    """Writes the model to `out`; gives back how well its tower is aligned, from 0 to 1."""
    torch.manual_seed(seed)
    words, pictures = tokenizer(), image_processor()
    model = build(words)
    aligned = align(model, pictures, seed)
    if aligned < MIN_ALIGNMENT:
        raise RuntimeError(
            f"the vision tower picks only {aligned:.0%} of its words rightly: take another seed"
        )
    teach_reading(model, words, seed)
    processor = LlavaProcessor(
        pictures,
        words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=words.chat_template,
        image_token=IMAGE,
    )
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    processor.save_pretrained(out)
    return aligned
