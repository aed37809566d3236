"""Chat templates of made students: labels are the answers, over real tokenizers of three kinds."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoProcessor

from comd.engine.dialogue import parse
from comd.engine.model import LoadedModel, load
from comd.student import Plan, make
from services.trainer.records import IGNORED
from services.trainer.training.collator import Collator
from services.trainer.training.prepare import Preparation
from shared.errors import ConfigError
from shared.images import ImageStore
from tests import tiny_parts
from tests.tiny_student import picture, user

Parts = Callable[[str], Path]
ANSWERS = (
    "Rot.",
    "zwei Größen – 紅色 🙂 да",
    "\n  leading blanks",
    "two\nlines\n\nand (more)?",
    "\u202bעברית 𝒳 é",
)


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
    shard = Preparation(loaded.renderer, loaded.pictures, 2048, 0, True).file(tmp_path / "train.jsonl")
    examples = [example for _, example in shard.examples]
    stop = loaded.renderer.stop_token
    for example in examples:
        runs = label_runs(example.labels)
        said = [loaded.renderer.tokenizer.decode(run).strip() for run in runs]
        assert said == [answer.strip() + stop for answer in ANSWERS]
        assert all(run[-1] == loaded.renderer.tokenizer.eos_token_id for run in runs)
    texts = [loaded.renderer.tokenizer.decode(example.input_ids) for example in examples]
    assert (
        {"?\n<image>" in text for text in texts} == {"<image>\nün" in text for text in texts} == {True, False}
    )
    assert len(texts) == 8
    assert Collator(loaded.pictures, loaded.pad_id)(examples)["labels"].shape[0] == 8


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
    assert not (loaded.folder / "additional_chat_templates").exists()
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
