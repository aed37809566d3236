"""Our count of a training step's operations against torch's own count of the products that it really makes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForImageTextToText

from benchmarks.gpu.flops import sizes_of, training_flops
from benchmarks.training import student
from services.trainer.training.families import linear_names, projector_modules, set_trainable

LENGTH, BATCH, RANK = 40, 2, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return student.make(tmp_path_factory.mktemp("student"), student.TINY)


def model(folder: Path) -> Any:
    """With attention written out as products, all pairs of places, so that each is counted."""
    return AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager")


def counted(model: Any) -> int:
    """Operations of forward and backward of a batch of pictures with text."""
    ids = torch.full((BATCH, LENGTH), 40)
    ids[:, 2 : 2 + student.TINY.image_tokens] = student.SPECIAL.index("<image>")
    pixels = torch.zeros(BATCH, 3, student.TINY.image_size, student.TINY.image_size)
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids, labels=ids, pixel_values=pixels).loss.backward()
    return int(counter.get_total_flops())


def test_all_weights(folder: Path) -> None:
    trained = model(folder)
    set_trainable(trained, "tune")
    expected = training_flops(sizes_of(trained.config), [LENGTH] * BATCH, causal=False)
    assert counted(trained) == pytest.approx(expected, rel=0.02)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft's
def test_lora(folder: Path) -> None:
    plain = model(folder)
    names, whole = linear_names(plain), projector_modules(plain)
    sizes = sizes_of(plain.config)
    adapted = get_peft_model(plain, LoraConfig(r=RANK, target_modules=names, modules_to_save=whole))
    expected = training_flops(sizes, [LENGTH] * BATCH, "lora", RANK, causal=False)
    assert counted(adapted) == pytest.approx(expected, rel=0.02)
