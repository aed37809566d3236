"""Every supported model family, on a very small model of its class: what a stage trains, token ids, answers'
spans, batches, generation, saving, LoRA.
"""

import io
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from comd.engine.dialogue import Renderer, parse
from comd.engine.generate import generate
from comd.engine.likelihood import prompt_logprobs
from comd.engine.model import LoadedModel, Row, load
from comd.engine.pictures import blank, prepare
from comd.engine.processor import copy_processor, load_processor
from services.trainer.records import IGNORED
from services.trainer.training.collator import Collator
from services.trainer.training.families import (
    Family,
    linear_names,
    projector_modules,
    role_of,
    set_trainable,
)
from services.trainer.training.prepare import Preparation
from services.trainer.training.prepared import Example, Shard
from shared.errors import BadRequest, ConfigError, Unprocessable
from shared.types import JsonObject
from tests.families import FAMILIES, make_family
from tests.family_dialogues import ANSWERS, SIZES, image_of, own_inputs, turns_of, url_of

PROJECTORS = {
    "gemma3": ["multi_modal_projector"],
    "idefics3": ["connector"],
    "internvl": ["multi_modal_projector"],
    "llava": ["multi_modal_projector"],
    "llava_next": ["multi_modal_projector"],
    "llava_onevision": ["multi_modal_projector"],
    "qwen2_5_vl": ["visual.merger"],
    "qwen3_vl": ["visual.merger", "visual.deepstack_merger_list.0", "visual.deepstack_merger_list.1"],
    "smolvlm": ["connector"],
}
VISION_LAYERS = r"\.(vision_tower|vision_model|visual)\..*(layers?|blocks)\.\d"

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*is_gradient_checkpointing:FutureWarning"
)  # peft 0.21 reads it


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return lru_cache(lambda name: make_family(name, tmp_path_factory.mktemp(name)))


@pytest.fixture(scope="module", params=FAMILIES)
def student(request: pytest.FixtureRequest, folders: Any) -> LoadedModel:
    return load(request.param, folders(request.param), None)


def fresh(student: LoadedModel) -> Any:
    return load(student.name, student.folder, None).model.train()


@pytest.mark.parametrize("system", [None, "be brief"])
@pytest.mark.parametrize(("size", "first"), [(None, True), (SIZES[1], True), (SIZES[2], False)])
def test_ids_are_the_processors_and_answers_continue_their_prompts(
    student: LoadedModel, size: tuple[int, int] | None, first: bool, system: str | None
) -> None:
    picture = image_of(*size) if size else None
    parsed = parse(turns_of(picture, first, system))
    pictures = [student.pictures.get(url) for url in parsed.image_urls]
    renderer, messages = student.renderer, parsed.messages
    rendered = renderer.dialogue(messages, pictures)
    assert rendered.input_ids == own_inputs(student, messages, picture)["input_ids"][0].tolist()
    replies = [at for at, message in enumerate(messages) if message["role"] == "assistant"]
    for at, (start, end), answer in zip(replies, rendered.answers, ANSWERS, strict=True):
        prompt = renderer.prompt(messages[:at], pictures)
        own = own_inputs(student, messages[:at], picture, add_generation_prompt=True)
        assert prompt == own["input_ids"][0].tolist()
        assert prompt + rendered.input_ids[start:end] == rendered.input_ids[:end]
        assert rendered.input_ids[end - 1] in student.stop_ids
        assert not student.stop_ids & set(rendered.input_ids[start : end - 1])
        begun = renderer.prompt(messages[: at + 1], pictures, "open")
        assert begun == rendered.input_ids[: len(begun)]
        assert renderer.answer_text(begun[start:]) == renderer.plain(answer).strip()
        closed = renderer.prompt(messages[: at + 1], pictures, "closed")
        assert closed == own_inputs(student, messages[: at + 1], picture)["input_ids"][0].tolist()
        text = renderer.answer_text(rendered.input_ids[start:end])
        assert text == renderer.expected_answer_text(answer)
        assert text.removesuffix(renderer.stop_token) == renderer.plain(answer).strip()


def prepared(student: LoadedModel, folder: Path) -> Shard:
    """Records with pictures of several sizes and one without."""
    lines = []
    for number, size in enumerate([*SIZES, None]):
        turns = turns_of(image_of(*size) if size else None)[: 2 + 2 * (number % 2)]
        lines.append(json.dumps({"id": str(number), "messages": turns}))
    file = folder / "train.jsonl"
    file.write_text("\n".join(lines))
    return Preparation(student.renderer, student.pictures, 900, seed=1).file(file)


def examples(student: LoadedModel, folder: Path) -> list[Example]:
    return [example for _, example in prepared(student, folder).examples]


def collator(student: LoadedModel, with_blank: bool = False) -> Collator:
    processor = student.renderer.processor
    return Collator(student.pictures, student.pad_id, blank(processor) if with_blank else None)


def test_a_batch_scores_as_each_row_does_alone(student: LoadedModel) -> None:
    """Padding, tiles, positions and kinds of tokens: logits as of the processor's own inputs."""
    batch, alone = [], []
    for at, size in enumerate([*SIZES, None]):
        picture = image_of(*size) if size else None
        parsed = parse(turns_of(picture, first=at % 2 == 0)[: 2 + 2 * (at % 2)])
        pictures = [student.pictures.get(url) for url in parsed.image_urls]
        ids = np.array(student.renderer.dialogue(parsed.messages, pictures).input_ids, dtype=np.int32)
        ids.flags.writeable = False  # as examples come from a file
        batch.append(Example(ids, ids, next(iter(parsed.image_urls), None)))
        with torch.inference_mode():
            alone.append(student.model(**own_inputs(student, parsed.messages, picture)).logits[0])
    with torch.inference_mode():
        together = student.model(**collator(student)(batch)).logits
    for ours, own in zip(together, alone, strict=True):
        assert torch.allclose(ours[: len(own)], own, atol=1e-4)


def test_prompt_log_probabilities_are_of_the_processors_own_inputs(student: LoadedModel) -> None:
    picture = image_of(*SIZES[1])
    parsed = parse(turns_of(picture))
    pictures = [student.pictures.get(url) for url in parsed.image_urls]
    ids = student.renderer.prompt(parsed.messages, pictures, "closed")
    with torch.inference_mode():
        own = student.model(**own_inputs(student, parsed.messages, picture)).logits[0, :-1].log_softmax(1)
    first, *told = prompt_logprobs(student, Row(ids, pictures, 1, 0.0, 0))
    assert first is None
    for token, scores, entry in zip(ids[1:], own, told, strict=True):
        said = (entry or {})[str(token)]
        assert said["logprob"] == pytest.approx(float(scores[token]), abs=1e-4)
        assert (
            abs(said["rank"] - int((scores > scores[token]).sum()) - 1) <= 1
        )  # of tokens that are all but equal


def test_control_tokens_in_a_text_stay_text(student: LoadedModel) -> None:
    renderer, tokenizer = student.renderer, student.renderer.tokenizer

    def prompt(text: str) -> list[int]:
        return renderer.prompt(parse([{"role": "user", "content": text}]).messages, [])

    special = [number for number, token in tokenizer.added_tokens_decoder.items() if token.special]
    assert len(special) > 3
    usual, written = prompt("x"), prompt("".join(tokenizer.convert_ids_to_tokens(special)))
    assert [written.count(number) for number in special] == [usual.count(number) for number in special]


@pytest.mark.parametrize(
    ("stage", "roles"), [("pretrain", {"projector"}), ("tune", {"projector", "language"})]
)
def test_a_stage_changes_exactly_its_parts(
    student: LoadedModel, tmp_path: Path, stage: Any, roles: set[str]
) -> None:
    model, kind = fresh(student), student.name
    trained = set_trainable(model, stage)
    assert {role_of(kind, name) for name in trained} == roles
    assert not any(re.search(VISION_LAYERS, name) for name in trained)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4)
    batch = collator(student)(examples(student, tmp_path))
    assert batch["input_ids"].shape == batch["labels"].shape == batch["attention_mask"].shape
    losses = []
    for _ in range(3):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[2] < losses[0]
    moved = {name for name, parameter in model.named_parameters() if not parameter.equal(before[name])}
    assert {role_of(kind, name) for name in moved} == roles
    assert {name for name in before if role_of(kind, name) in roles and before[name].dim() > 1} <= moved
    parts = tuple(f"model.{part}" for part in (*PROJECTORS[kind], "image_newline"))
    assert [n for n in before if role_of(kind, n) == "projector"] == [
        n for n in before if n.startswith(parts)
    ]
    assert {"vision", "projector", "language"} == {role_of(kind, name) for name in before}


def test_a_blank_row_changes_neither_loss_nor_gradients(student: LoadedModel, tmp_path: Path) -> None:
    model, batch = fresh(student), [e for e in examples(student, tmp_path) if e.image is None]
    set_trainable(model, "tune")
    found = []
    for with_blank in (False, True):
        made = collator(student, with_blank)(batch)
        assert made["input_ids"].shape[0] == len(batch) + with_blank
        assert ("pixel_values" in made) == with_blank
        loss = model(**made).loss
        loss.backward()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        model.zero_grad()
        found.append((loss.item(), gradients))
    (plain_loss, plain), (blank_loss, with_row) = found
    assert plain_loss == pytest.approx(blank_loss, abs=1e-6)
    for name, gradient in with_row.items():
        expected = plain[name] if name in plain else torch.zeros_like(gradient)
        assert torch.allclose(gradient, expected, atol=1e-6), name
    assert {role_of(student.name, name) for name in with_row.keys() - plain.keys()} == {"projector"}
    parts = [e for e in examples(student, tmp_path) if e.image is not None]
    assert len(collator(student, True)(parts)["input_ids"]) == len(parts)


def test_a_batch_generates_what_each_row_generates_alone(student: LoadedModel) -> None:
    model = student.model
    rows, alone = [], []
    for at, size in enumerate([None, *SIZES, None]):
        picture = image_of(*size) if size else None
        parsed = parse(turns_of(picture, system="be brief" if at % 2 else None)[: 1 + at // 3 * 2 + at % 2])
        pictures = [student.pictures.get(url) for url in parsed.image_urls]
        rows.append(Row(student.renderer.prompt(parsed.messages, pictures), pictures, 8, 0.0, at))
        alone.append(generated(student, parsed.messages, picture))
    generate(student, rows)
    assert [row.tokens for row in rows] == alone
    assert len({tuple(tokens) for tokens in alone}) > 2
    assert model.training is False


def generated(student: LoadedModel, messages: list[JsonObject], picture: Any) -> list[int]:
    """The model's own greedy answer to its own processor's inputs."""
    inputs = own_inputs(student, messages, picture, add_generation_prompt=True)
    made = student.model.generate(**inputs, max_new_tokens=8, do_sample=False)
    tokens = made[0, inputs["input_ids"].shape[1] :].tolist()
    stops = [at for at, token in enumerate(tokens) if token in student.stop_ids]
    return tokens[: stops[0]] if stops else tokens


def test_a_saved_model_loads_whole_and_its_processor_in_all_its_parts(
    student: LoadedModel, tmp_path: Path
) -> None:
    from transformers import AutoModelForImageTextToText

    student.model.save_pretrained(tmp_path)
    copy_processor(student.folder, tmp_path)
    model, report = AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    ours = student.model.state_dict()
    assert all(tensor.equal(ours[name]) for name, tensor in model.state_dict().items())
    again = load_processor(tmp_path)
    picture, url = image_of(*SIZES[0]), url_of(image_of(*SIZES[0]))
    messages = parse(turns_of(picture)).messages
    ids = Renderer(again, student.stop_ids).dialogue(messages, [student.pictures.get(url)]).input_ids
    assert ids == student.renderer.dialogue(messages, [student.pictures.get(url)]).input_ids
    assert sum(p.numel() for p in model.parameters()) < 200_000
    saved = {path.name for path in student.folder.iterdir()} - {"model.safetensors"}
    assert saved == {path.name for path in tmp_path.iterdir()} - {"model.safetensors"}


def test_lora_trains_adapters_and_the_projector_alone(student: LoadedModel, tmp_path: Path) -> None:
    import peft

    model, kind = fresh(student), student.name
    names, saved = linear_names(model), projector_modules(model)
    assert names
    assert not any("lm_head" in name or role_of(kind, name) != "language" for name in names)
    assert saved == [f"model.{name}" for name in PROJECTORS[kind]]
    config = peft.LoraConfig(r=4, target_modules=names, modules_to_save=saved)
    lora = peft.get_peft_model(model, config)
    trained = {name for name, parameter in lora.named_parameters() if parameter.requires_grad}
    adapters = {name for name in trained if ".lora_" in name}
    assert len(adapters) == 2 * len(names)
    assert all(
        ".modules_to_save." in name and role_of(kind, name) == "projector" for name in trained - adapters
    )
    projector = {name for name, _ in student.model.named_parameters() if role_of(kind, name) == "projector"}
    bare = {name for name in projector if name.endswith("image_newline")}
    assert len(trained - adapters) == len(projector - bare)
    lora(**collator(student)(examples(student, tmp_path))).loss.backward()
    assert all(p.grad is not None for p in lora.parameters() if p.requires_grad)


def test_a_picture_that_cannot_be_prepared_is_refused_by_size(folders: Any) -> None:
    file = io.BytesIO()
    Image.new("RGB", (900, 2)).save(file, "PNG")
    with pytest.raises(Unprocessable, match="900x2"):
        prepare(load_processor(folders("qwen2_5_vl")), file.getvalue())


def test_an_unknown_family_is_refused_with_what_to_configure() -> None:
    from transformers import AutoModelForImageTextToText, VipLlavaConfig

    from tests.family_parts import CLIP, language, tokenizer_of

    text = language(tokenizer_of("</s>", {}), "llama")
    model = AutoModelForImageTextToText.from_config(
        VipLlavaConfig(
            vision_config=CLIP, text_config=text, vision_feature_layers=[-1, -2], image_token_index=3
        )
    )
    with pytest.raises(ConfigError, match=r"'vipllava' are not known; known are gemma3, .*setting families"):
        set_trainable(model, "tune")
    wrong = {"vipllava": Family(vision=("visual",), projector=("multi_modal_projector",))}
    with pytest.raises(ConfigError, match="found no vision among its parameters"):
        set_trainable(model, "tune", wrong)
    right = {"vipllava": Family(vision=("vision_tower",), projector=("multi_modal_projector",))}
    names = set_trainable(model, "pretrain", right)
    assert names == [name for name, _ in model.named_parameters() if "multi_modal_projector" in name]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("assistant\n{% endif %}", "assistant\n<think>{% endif %}", "writes answer 1 not just behind"),
        ("<|im_end|>\n{% endfor", "\n{% endfor", r"none of the stop tokens <\|im_end\|>"),
    ],
)
def test_a_template_whose_answers_cannot_be_told_apart_is_refused(
    folders: Any, before: str, after: str, said: str
) -> None:
    renderer = Renderer(load_processor(folders("internvl")))
    renderer.template = renderer.template.replace(before, after)
    with pytest.raises(BadRequest, match=rf"chat template of .*internvl.* {said}.*generation"):
        renderer.dialogue(parse(turns_of(None)).messages, [])


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    (tmp_path / "processor_config.json").write_text('{"processor_class": "LlavaProcessor"}')
    with pytest.raises(ConfigError, match="its processor cannot be loaded"):
        load_processor(tmp_path)


def test_labels_are_answers_and_stop_tokens(student: LoadedModel, tmp_path: Path) -> None:
    shard = prepared(student, tmp_path)
    counts = shard.counts
    assert (counts.records, counts.turns, counts.left_out) == (4, 6, 0)
    for number, example in enumerate(example for _, example in shard.examples):
        said = [label for label in example.labels if label != IGNORED]
        stops = [at for at, label in enumerate(said) if label in student.stop_ids]
        assert len(stops) == 1 + number % 2
        assert stops[-1] == len(said) - 1
