"""`comd student init`: real tiny parts of several kinds become students that load, answer and can be trained."""

import base64
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from comd.engine.dialogue import parse
from comd.engine.generate import generate
from comd.engine.model import Row, load
from comd.student import Plan, make
from services.trainer.training.families import role_of, set_trainable
from tests import tiny_parts
from tests.tiny_student import picture, user

Parts = Callable[[str], Path]
PAIRS = [("llama", "clip"), ("qwen", "clip"), ("llama", "siglip"), ("llama-bytes", "clip-tower")]


@pytest.mark.parametrize(("llm", "vision"), PAIRS)
def test_every_weight_of_the_parts_is_kept_to_the_bit(
    student: Any, parts: Parts, llm: str, vision: str
) -> None:
    folder = student(llm, vision).folder
    model, found = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    assert not any(found.values()), found
    made = model.model.state_dict()
    for name, tensor in load_file(parts(llm) / "model.safetensors").items():
        if name == "lm_head.weight":
            kept = model.lm_head.weight
        else:
            kept = made[f"language_model.{name.removeprefix('model.')}"]
        rows = tiny_parts.num_tokens(parts(llm)) if "embed_tokens" in name or "lm_head" in name else None
        assert torch.equal(kept[:rows], tensor[:rows]), name
    for name, tensor in load_file(parts(vision) / "model.safetensors").items():
        if name.startswith(("text_model", "text_proj", "visual_proj", "logit_scale", "head.")):
            continue
        assert torch.equal(made[f"vision_tower.{name.removeprefix('vision_model.')}"], tensor), name


@pytest.mark.parametrize(("llm", "vision"), PAIRS)
def test_it_sees_answers_and_learns(student: Any, llm: str, vision: str) -> None:
    loaded = student(llm, vision)
    url = "data:image/png;base64," + base64.b64encode(picture(200)).decode()
    asked = parse([user(url, "what is red?")])
    prompt = loaded.renderer.prompt(asked.messages, [loaded.pictures.get(url)])
    assert prompt.count(loaded.model.config.image_token_id) == 4
    row = Row(prompt, [loaded.pictures.get(url)], 5, 0.0, 0)
    generate(loaded, [row])
    assert row.tokens or row.finish_reason == "stop"
    model = load("own", loaded.folder, None).model
    set_trainable(model, "tune")
    ids = torch.tensor([prompt])
    model(input_ids=ids, labels=ids, **loaded.pictures.get(url).inputs).loss.backward()
    taught = {
        role_of("llava", name) for name, p in model.named_parameters() if p.grad is not None and p.grad.any()
    }
    assert taught == {"projector", "language"}


def test_new_tokens_are_special_and_their_rows_the_mean(student: Any, parts: Parts) -> None:
    loaded = student("llama", "clip")
    words, config = loaded.renderer.tokenizer, loaded.model.config
    known = tiny_parts.num_tokens(parts("llama"))
    assert (config.image_token_id, words.pad_token_id) == (known, known + 1)
    assert {"<image>", "<pad>", "</s>"} <= set(words.all_special_tokens)
    assert words.pad_token_id != words.eos_token_id == 2
    assert config.text_config.pad_token_id == words.pad_token_id
    for rows in (loaded.model.get_input_embeddings().weight, loaded.model.lm_head.weight):
        assert len(rows) == config.text_config.vocab_size == 640  # 602 to the next multiple of 64
        mean = rows[:known].double().mean(0).float()
        assert torch.equal(rows[known:], mean.expand_as(rows[known:]))
    assert loaded.model.generation_config.eos_token_id == 2
    assert loaded.model.generation_config.temperature is None
    assert loaded.max_length == 512


def test_spare_rows_are_used_and_tied_embeddings_stay_tied(student: Any, parts: Parts) -> None:
    loaded = student("qwen", "clip")
    words, model = loaded.renderer.tokenizer, loaded.model
    known = tiny_parts.num_tokens(parts("qwen"))
    assert model.config.image_token_id == known
    assert len(model.lm_head.weight) == known + 30
    assert model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    source = load_file(parts("qwen") / "model.safetensors")["model.embed_tokens.weight"]
    assert torch.equal(model.lm_head.weight[known], source[:known].double().mean(0).float())
    assert torch.equal(model.lm_head.weight[known + 1 :], source[known + 1 :])
    assert (words.eos_token, words.pad_token) == ("<|im_end|>", "<|endoftext|>")
    stops = words.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    assert model.generation_config.eos_token_id == stops
    assert loaded.stop_ids == set(stops)


def test_an_image_token_that_is_there_is_used(parts: Parts, tmp_path: Path) -> None:
    words = tiny_parts.byte_tokenizer(special=("<s>", "<image>", "<pad>", "</s>"))
    words.pad_token = "<pad>"
    llm = tiny_parts.llama(tmp_path / "llm", words)
    make(Plan(llm, parts("clip"), tmp_path / "out"))
    loaded = load("x", tmp_path / "out", None)
    assert loaded.model.config.image_token_id == words.convert_tokens_to_ids("<image>")
    assert len(loaded.model.lm_head.weight) == len(words)


@pytest.mark.parametrize(("llm", "vision"), PAIRS)
def test_names_on_disk_are_those_that_vllm_reads(student: Any, llm: str, vision: str) -> None:
    names = load_file(student(llm, vision).folder / "model.safetensors").keys()
    heads = {name.split(".")[0] for name in names}
    assert heads == {"language_model", "vision_tower", "multi_modal_projector"}
    assert all("vision_model." in name for name in names if name.startswith("vision_tower."))


def test_another_user_can_read_what_was_written(student: Any) -> None:
    for path in student("llama", "clip").folder.iterdir():
        assert path.stat().st_mode & stat.S_IRGRP, path


def test_the_linear_projector_is_one_matrix(student: Any) -> None:
    model = student("llama", "clip").model
    projector = model.model.multi_modal_projector
    features = torch.randn(50, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        matrix = projector(torch.eye(32)).T  # (d_t, d_v): its columns are the images of the unit vectors
        assert torch.allclose(projector(features), features @ matrix.T, atol=1e-6)
        both = projector(2 * features[:25] - 3 * features[25:])
        assert torch.allclose(both, 2 * projector(features[:25]) - 3 * projector(features[25:]), atol=1e-5)
    assert 0.9 < float(matrix.abs().max()) * 32**0.5 <= 1.0
    assert model.config.projector_hidden_act == "relu"
    assert projector.linear_1.bias is projector.linear_2.bias is None


def test_equal_seeds_make_equal_files(parts: Parts, tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        make(Plan(parts("llama"), parts("clip"), tmp_path / name, seed=seed))
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert [p for p in names if (tmp_path / "a" / p).read_bytes() != (tmp_path / "b" / p).read_bytes()] == []
    ours, other = (load_file(tmp_path / name / "model.safetensors") for name in ("a", "c"))
    differ = {name for name in ours if not torch.equal(ours[name], other[name])}
    assert differ == {"multi_modal_projector.linear_2.weight"}
    texts = [path.read_text() for path in (tmp_path / "a").glob("*.json")]
    assert not any(str(parts("llama").parent) in text for text in texts)


def test_a_type_can_be_chosen(parts: Parts, tmp_path: Path) -> None:
    made = make(Plan(parts("qwen"), parts("clip"), tmp_path / "out", dtype="bf16"))
    assert made.dtype == "bf16"
    assert {t.dtype for t in load_file(tmp_path / "out" / "model.safetensors").values()} == {torch.bfloat16}


def test_the_command_says_what_it_made(
    parts: Parts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from comd.cli import app

    out = tmp_path / "mine"
    words = ["student", "init", "--llm", parts("llama"), "--vision", parts("clip"), "--out", out]
    app([str(word) for word in words], standalone_mode=False)
    text = capsys.readouterr().out
    assert "A student of 273,728 parameters (fp32)" in text
    assert "6,144  projector, linear" in text
    assert "A picture takes 4 of the 512 tokens" in text
    assert f'base_students = {{ "mine" = "{out}" }}' in text
