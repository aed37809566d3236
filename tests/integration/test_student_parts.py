"""Parts that cannot make a student are refused by name, and no code in them is run."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from comd.engine.model import load
from comd.student import Plan, make
from shared.errors import ConfigError
from tests import tiny_parts

Parts = Callable[[str], Path]


@pytest.mark.parametrize("sharded", [False, True])
def test_old_weights_are_read_and_written_as_safetensors(
    parts: Parts, student: Any, tmp_path: Path, sharded: bool
) -> None:
    old = tiny_parts.as_pickle(parts("llama"), tmp_path / "old", sharded)
    tower = tiny_parts.as_pickle(parts("clip"), tmp_path / "tower", sharded)
    make(Plan(old, tower, tmp_path / "out"))
    ours = load_file(tmp_path / "out" / "model.safetensors")
    other = load_file(student("llama", "clip").folder / "model.safetensors")
    assert ours.keys() == other.keys()
    assert all(torch.equal(ours[name], other[name]) for name in ours)
    assert not list((tmp_path / "out").glob("*.bin"))


class Evil:
    """Unpickled carelessly, it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("which", ["llm", "vision"])
def test_code_in_pickled_weights_is_never_run(parts: Parts, tmp_path: Path, which: str) -> None:
    bad = tiny_parts.as_pickle(parts("llama" if which == "llm" else "clip"), tmp_path / "bad", False)
    torch.save({"x": Evil(tmp_path / "struck")}, bad / "pytorch_model.bin")
    llm, vision = (bad, parts("clip")) if which == "llm" else (parts("llama"), bad)
    with pytest.raises(ConfigError, match="more than tensors, and code in them is never run"):
        make(Plan(llm, vision, tmp_path / "out"))
    assert not (tmp_path / "struck").exists()
    torch.load(bad / "pytorch_model.bin", weights_only=False)  # it would have struck
    assert (tmp_path / "struck").exists()


def test_code_beside_a_configuration_is_never_run(parts: Parts, tmp_path: Path) -> None:
    own = change(parts("llama"), tmp_path / "own", model_type="own", auto_map={"AutoConfig": "own.Own"})
    (own / "own.py").write_text(f"import os\n\nos.mkdir({str(tmp_path / 'struck')!r})\n")
    with pytest.raises(ConfigError, match="own: cannot be read as a causal language model"):
        make(Plan(own, parts("clip"), tmp_path / "out"))
    assert not (tmp_path / "struck").exists()


def change(folder: Path, copy: Path, **settings: Any) -> Path:
    """A copy of a model's folder with other settings in its config.json."""
    tiny_parts.copy(folder, copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, **settings}))
    return copy


def without(folder: Path, copy: Path, *names: str) -> Path:
    """A copy of a model's folder that lacks some files."""
    tiny_parts.copy(folder, copy)
    for name in names:
        (copy / name).unlink()
    return copy


def test_what_does_not_make_a_student_is_named(parts: Parts, tmp_path: Path) -> None:
    llm, vision, out = parts("llama"), parts("clip"), tmp_path / "out"
    empty = tmp_path / "empty"
    empty.mkdir()
    full = tmp_path / "full"
    (full / "x").mkdir(parents=True)
    base = change(llm, tmp_path / "base", architectures=["LlamaModel"])
    wide = change(llm, tmp_path / "wide", hidden_size=128)
    torn = tiny_parts.copy(llm, tmp_path / "torn")
    weights = load_file(torn / "model.safetensors")
    save_file({n: w for n, w in weights.items() if n != "model.norm.weight"}, torn / "model.safetensors")
    no_words = without(llm, tmp_path / "n", "tokenizer.json")
    old_words = without(llm, tmp_path / "o", "tokenizer.json")
    (old_words / "tokenizer.model").write_bytes(b"not sentencepiece's")
    no_images = without(vision, tmp_path / "i", "preprocessor_config.json")
    wanted = [
        (
            Plan(tmp_path / "gone", vision, out),
            "gone is not there; expected the folder of a causal language model",
        ),
        (Plan(empty, vision, out), "empty has no config.json"),
        (Plan(llm, empty, out), "empty has no config.json"),
        (Plan(base, vision, out), "expected a causal language model .* found LlamaModel; give --llm"),
        (Plan(vision, vision, out), "expected a causal language model .* found CLIPModel"),
        (Plan(llm, llm, out), "expected a vision tower .*, found llama; give --vision"),
        (Plan(wide, vision, out), "weights do not fit|cannot be read as the weights"),
        (
            Plan(torn, vision, out),
            r"1 are missing .*, the first model.norm.weight; give the folder of the whole",
        ),
        (Plan(no_words, vision, out), "no tokenizer; expected one of tokenizer.json"),
        (Plan(old_words, vision, out), "pip install sentencepiece protobuf|cannot be read as a tokenizer"),
        (Plan(llm, no_images, out), "no image processor; expected one of preprocessor_config.json"),
        (Plan(llm, vision, full), "is there already and is not empty"),
        (Plan(llm, vision, out, projector="cubic"), "--projector 'cubic': expected linear or mlp"),
        (Plan(llm, vision, out, dtype="int8"), "--dtype 'int8': expected fp32 or bf16 or fp16"),
        (Plan(llm, vision, out, chat_template=tmp_path / "no.jinja"), "cannot be read as a chat template"),
    ]
    for plan, message in wanted:
        with pytest.raises(ConfigError, match=message):
            make(plan)
        assert not out.exists()


def test_a_matrix_without_room_is_refused_and_two_layers_are_not(parts: Parts, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"twice as wide.*32 features, the language model 32; .*mlp"):
        make(Plan(parts("llama-narrow"), parts("clip"), tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    make(Plan(parts("llama-narrow"), parts("clip"), tmp_path / "out", projector="mlp"))
    model = load("mlp", tmp_path / "out", None).model
    projector = model.model.multi_modal_projector
    assert model.config.projector_hidden_act == "gelu"
    bound = 32**-0.5
    for parameter in projector.parameters():
        assert bound / 2 < float(parameter.detach().abs().max()) <= bound


def test_a_language_model_that_is_more_than_the_form_is_refused(parts: Parts, tmp_path: Path) -> None:
    """Granite scales its logits outside of the modules that the form takes over."""
    from transformers import GraniteConfig, GraniteForCausalLM

    words = tiny_parts.metaspace_tokenizer()
    shape = {"vocab_size": len(words), "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1}
    config = GraniteConfig(**shape, num_attention_heads=2, num_key_value_heads=2, logits_scaling=8.0)
    GraniteForCausalLM(config).save_pretrained(tmp_path / "granite")
    words.save_pretrained(tmp_path / "granite")
    with pytest.raises(ConfigError, match="does more to its logits"):
        make(Plan(tmp_path / "granite", parts("clip"), tmp_path / "out"))


def test_an_image_processor_of_another_size_is_refused(parts: Parts, tmp_path: Path) -> None:
    vision = tiny_parts.copy(parts("clip"), tmp_path / "vision")
    settings = json.loads((vision / "preprocessor_config.json").read_text())
    settings |= {"size": {"shortest_edge": 128}, "crop_size": {"height": 128, "width": 128}}
    (vision / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match=r"of \(128, 128\) pixels, the tower takes 64 x 64"):
        make(Plan(parts("llama"), vision, tmp_path / "out"))
