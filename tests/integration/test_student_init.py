"""`comd student init`: real tiny parts of several kinds become students that load, answer and can be trained."""

import base64
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from comd.engine.dialogue import parse
from comd.engine.generate import generate
from comd.engine.model import LoadedModel, Row, load
from comd.student import Plan, make
from services.trainer.records import IGNORED
from services.trainer.training.dataset import Collator, Preparation
from services.trainer.training.groups import role_of, set_trainable
from shared.errors import ConfigError
from shared.images import ImageStore
from tests import tiny_parts
from tests.tiny_student import picture, user

ANSWERS = (
    "Rot.",
    "zwei Größen – 紅色 🙂 да",
    "  leading blanks",
    "two\nlines\n\nand (more)?",
    "\u202bעברית 𝒳 é",
)
Parts = Callable[[str], Path]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """Folders of parts by name, each made once."""
    folder = tmp_path_factory.mktemp("parts")
    makers: dict[str, Callable[[Path], Path]] = {
        "llama": tiny_parts.llama,
        "llama-bytes": lambda path: tiny_parts.llama(path, tiny_parts.byte_tokenizer()),
        "llama-narrow": lambda path: tiny_parts.llama(path, hidden=32),
        "qwen": tiny_parts.qwen,
        "clip": tiny_parts.clip,
        "clip-tower": lambda path: tiny_parts.clip(path, whole=False),
        "siglip": tiny_parts.siglip,
    }
    return lambda name: folder / name if (folder / name).exists() else makers[name](folder / name)


@pytest.fixture(scope="module")
def student(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], LoadedModel]:
    """Students by their parts' names, loaded as the trainer loads them."""
    folder, made = tmp_path_factory.mktemp("students"), dict[str, LoadedModel]()

    def loaded(llm: str, vision: str) -> LoadedModel:
        name = f"{llm}-{vision}"
        if name not in made:
            make(Plan(parts(llm), parts(vision), folder / name))
            made[name] = load(name, folder / name, None)
        return made[name]

    return loaded


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
    taught = {role_of(name) for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert taught == {"projector", "language"}


@pytest.mark.parametrize("llm", ["llama", "llama-bytes", "qwen"])
def test_labels_are_the_answers_and_their_stop_tokens(student: Any, llm: str, tmp_path: Path) -> None:
    loaded = student(llm, "clip")
    store = ImageStore(str(tmp_path / "images"))
    loaded.pictures.store = store
    lines = []
    for number in range(8):  # the picture stands before the first question, or after it
        url = "comd-image:" + store.put(picture(number))
        messages = [{"role": "system", "content": "Be brief."}] if number % 2 else []
        for at, answer in enumerate(ANSWERS):
            messages += [user(None if at else url, f"ünshorékalo {at}?")]
            messages += [{"role": "assistant", "content": answer}]
        lines.append(json.dumps({"messages": messages}))
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    prepared = Preparation(loaded.renderer, loaded.pictures, 2048, 0).file(tmp_path / "train.jsonl", True)
    stop = loaded.renderer.stop_token
    for example in prepared.examples:
        runs = label_runs(example.labels)
        said = [loaded.renderer.tokenizer.decode(run).strip() for run in runs]
        assert said == [answer.strip() + stop for answer in ANSWERS]
        assert all(run[-1] == loaded.renderer.tokenizer.eos_token_id for run in runs)
    texts = [loaded.renderer.tokenizer.decode(example.input_ids) for example in prepared.examples]
    assert (
        {"?\n<image>" in text for text in texts} == {"<image>\nün" in text for text in texts} == {True, False}
    )
    assert len(texts) == 8
    assert Collator(loaded.pictures, loaded.pad_id)(prepared.examples)["labels"].shape[0] == 8


def label_runs(labels: list[int]) -> list[list[int]]:
    runs: list[list[int]] = [[]]
    for label in labels:
        if label != IGNORED:
            runs[-1].append(label)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


@pytest.mark.parametrize("llm", ["llama", "llama-bytes", "qwen"])
def test_a_served_prompt_is_how_its_training_dialogue_begins(student: Any, llm: str) -> None:
    loaded = student(llm, "clip")
    messages = parse([m for at in ANSWERS for m in (user(None, "lo?"), said(at))]).messages
    rendered = loaded.renderer.dialogue(messages, [])
    for turn, (start, _) in enumerate(rendered.answers):
        assert loaded.renderer.prompt(messages[: 2 * turn + 1], []) == rendered.input_ids[:start]


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def test_transformers_own_call_gives_the_same_ids(student: Any) -> None:
    loaded = student("llama", "clip")
    processor = AutoProcessor.from_pretrained(loaded.folder)
    asked = parse([user(None, "kalo mi?")]).messages
    theirs = processor.apply_chat_template(asked, tokenize=True, add_generation_prompt=True, return_dict=True)
    assert theirs["input_ids"][0] == loaded.renderer.prompt(asked, [])
    assert theirs["input_ids"][0].count(processor.tokenizer.bos_token_id) == 1


def test_the_vicuna_wording(student: Any) -> None:
    text = rendered_text(student("llama", "clip"))
    assert text.startswith("<s> A chat between a curious human")
    assert text.endswith("questions. USER: <image>\nlo? ASSISTANT: ka</s>")


def test_the_chatml_wording(student: Any) -> None:
    assert rendered_text(student("qwen", "clip")) == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n<image>\nlo?<|im_end|>\n<|im_start|>assistant\nka<|im_end|>\n"
    )


def rendered_text(loaded: LoadedModel) -> str:
    url = "data:image/png;base64," + base64.b64encode(picture(1)).decode()
    messages = parse([user(url, "lo?"), said("ka")]).messages
    ids = loaded.renderer.dialogue(messages, [loaded.pictures.get(url)]).input_ids
    text = str(loaded.renderer.tokenizer.decode(ids))
    return text.replace("<image>" * 4, "<image>").replace("<s>A chat", "<s> A chat")


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


def test_names_on_disk_are_those_that_vllm_reads(student: Any) -> None:
    names = load_file(student("llama", "clip").folder / "model.safetensors").keys()
    heads = {name.split(".")[0] for name in names}
    assert heads == {"language_model", "vision_tower", "multi_modal_projector"}
    assert all("vision_model." in name for name in names if name.startswith("vision_tower."))


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
    assert projector.linear_1.bias is projector.linear_2.bias is None


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
    remote = change(llm, tmp_path / "r", model_type="own", auto_map={"AutoConfig": "x.C"})
    no_words = without(llm, tmp_path / "n", "tokenizer.json")
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
        (Plan(remote, vision, out), "cannot be read as a causal language model"),
        (Plan(no_words, vision, out), "no tokenizer; expected one of tokenizer.json"),
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


OWN = (
    "{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content[0].text }}{{ eos_token }}{% endgeneration %}{% else %}{% for p in m.content %}"
    "{{ p.text if p.type == 'text' else '<image>' }}{% endfor %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def test_a_template_of_ones_own(parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "own.jinja").write_text(OWN)
    make(Plan(parts("qwen"), parts("clip"), tmp_path / "out", chat_template=tmp_path / "own.jinja"))
    loaded = load("own", tmp_path / "out", None)
    assert loaded.renderer.template == loaded.renderer.tokenizer.chat_template == OWN
    assert loaded.renderer.stop_token == "<|endoftext|>"
    assert loaded.renderer.tokenizer.pad_token == "<pad>"  # Qwen2's padding token is its stop token here


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{{ eos_token }}{% endgeneration %}", "{% endgeneration %}{{ eos_token }}", "must hold the answer"),
        ("{% generation %}", "", "cannot render"),
        ("else '<image>'", "else ''", "cannot render .* 1 pictures, but 0 places"),
        ("[assistant]{% endif %}", "[A]{% endif %}", "prompt for an answer is not how the dialogue"),
        ("{% if add_generation_prompt %}", "{% if", "cannot render"),
    ],
)
def test_a_template_that_cannot_teach_is_refused(
    parts: Parts, tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in OWN
    (tmp_path / "own.jinja").write_text(OWN.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        make(Plan(parts("qwen"), parts("clip"), tmp_path / "out", chat_template=tmp_path / "own.jinja"))
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_that_merges_over_the_border_of_answers_is_refused(parts: Parts, tmp_path: Path) -> None:
    llm = tiny_parts.llama(tmp_path / "llm", tiny_parts.metaspace_tokenizer(over_blanks=True))
    with pytest.raises(ConfigError, match=r"at the borders of tokens|not how the dialogue"):
        make(Plan(llm, parts("clip"), tmp_path / "out"))


def test_an_image_token_that_is_there_is_used(parts: Parts, tmp_path: Path) -> None:
    words = tiny_parts.byte_tokenizer(special=("<s>", "<image>", "<pad>", "</s>"))
    words.pad_token = "<pad>"
    llm = tiny_parts.llama(tmp_path / "llm", words)
    make(Plan(llm, parts("clip"), tmp_path / "out"))
    loaded = load("x", tmp_path / "out", None)
    assert loaded.model.config.image_token_id == words.convert_tokens_to_ids("<image>")
    assert len(loaded.model.lm_head.weight) == len(words)


def test_another_user_can_read_what_was_written(student: Any) -> None:
    for path in student("llama", "clip").folder.iterdir():
        assert path.stat().st_mode & stat.S_IRGRP, path


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
