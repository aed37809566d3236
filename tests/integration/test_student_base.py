"""The demo student's base model: its tokenizer loses no word, its template masks the answers, and it loads offline."""

from pathlib import Path
from random import Random

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from comd.student_base import alignment, make, reading, saving
from comd.student_base.vocabulary import ASSISTANT, END, UNKNOWN, tokenizer
from comd.world.dataset import CAPTION_REQUEST
from comd.world.grammar import answer, caption, compose, normalise, queries
from comd.world.phrasing import KINDS
from comd.world.render import draw_scene
from comd.world.scene import random_scene

TURNS = [
    ("What colour is the top-left one?", "Red."),
    ("Describe the top row to me.", "Red circle, blue square."),
]


def dialogue(picture: Image.Image, *, image_first: bool) -> list[dict[str, object]]:
    messages: list[dict[str, object]] = [{"role": "system", "content": "You see pictures."}]
    for number, (question, reply) in enumerate(TURNS):
        parts: list[dict[str, object]] = [{"type": "text", "text": question}]
        if number == 0:
            parts.insert(0 if image_first else 1, {"type": "image", "image": picture})
        messages += [
            {"role": "user", "content": parts},
            {"role": "assistant", "content": [{"type": "text", "text": reply}]},
        ]
    return messages


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    with pytest.MonkeyPatch.context() as patch:  # a few steps are enough to see the files
        patch.setattr(alignment, "NUM_STEPS", 3)
        patch.setattr(alignment, "NUM_PICTURES", 100)
        patch.setattr(reading, "NUM_STEPS", 3)
        patch.setattr(saving, "MIN_ALIGNMENT", 0.0)
        make(folder, 1)
    return folder


def test_no_word_of_the_world_is_lost() -> None:
    words = tokenizer()
    for seed in range(200):
        rng = Random(seed)
        scene = random_scene(rng)
        query = rng.choice([query for kind in KINDS for query in queries(scene, kind)])
        for text in (compose(query, rng), answer(query, scene) or "", CAPTION_REQUEST, caption(scene)):
            ids = words(text)["input_ids"]
            assert words.convert_tokens_to_ids(UNKNOWN) not in ids
            assert normalise(words.decode(ids)) == normalise(text)
    assert words.decode(words("zebra")["input_ids"]) == UNKNOWN


@pytest.mark.parametrize("image_first", [True, False])
def test_the_template_masks_the_answers_and_their_stops(base: Path, image_first: bool) -> None:
    processor = AutoProcessor.from_pretrained(base)
    picture = draw_scene(random_scene(Random(1)), Random(1))
    out = processor.apply_chat_template(
        dialogue(picture, image_first=image_first),
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
        return_tensors="pt",
    )
    ids, mask = out["input_ids"][0], torch.as_tensor(out["assistant_masks"])[0].bool()
    masked = processor.tokenizer.convert_ids_to_tokens(ids[mask])
    assert masked == ["red", END, "red", "circle", "blue", "square", END]
    tokens = processor.tokenizer.convert_ids_to_tokens(ids)
    assert tokens.count("<image>") == 4
    assert (tokens.index("<image>") < tokens.index("what")) is image_first


def test_it_loads_without_network_and_answers(base: Path) -> None:
    model = AutoModelForImageTextToText.from_pretrained(base)
    processor = AutoProcessor.from_pretrained(base)
    assert 1_000_000 < sum(parameter.numel() for parameter in model.parameters()) < 2_000_000
    picture = draw_scene(random_scene(Random(1)), Random(1)).resize((96, 96))
    messages = dialogue(picture, image_first=True)[:2]
    inputs = processor.apply_chat_template(
        messages, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    assert processor.tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])[-1] == ASSISTANT
    assert inputs["pixel_values"].shape == (1, 3, 64, 64)
    out = model.generate(**inputs, do_sample=False)
    assert out.shape[1] <= inputs["input_ids"].shape[1] + 16
    assert model.generation_config.eos_token_id == processor.tokenizer.eos_token_id


def test_the_same_seed_makes_the_same_weights(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alignment, "NUM_STEPS", 3)
    monkeypatch.setattr(alignment, "NUM_PICTURES", 100)
    monkeypatch.setattr(reading, "NUM_STEPS", 3)
    monkeypatch.setattr(saving, "MIN_ALIGNMENT", 0.0)
    make(tmp_path, 1)
    assert (tmp_path / "model.safetensors").read_bytes() == (base / "model.safetensors").read_bytes()
