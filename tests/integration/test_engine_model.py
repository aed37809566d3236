"""Dialogues, pictures, sampling and batches over a tiny student, without HTTP."""

import base64
import io
from pathlib import Path
from typing import Any

import orjson
import pytest
import torch
from PIL import Image

from comd.engine.dialogue import Renderer, parse
from comd.engine.generate import decode, decode_by_transformers, generate
from comd.engine.model import LoadedModel, Row, load
from comd.engine.pictures import Pictures, prepare_any, prepare_llava
from comd.engine.sampling import SeededSampling, gumbel
from services.trainer.records import IGNORED
from services.trainer.training.collator import Collator
from services.trainer.training.prepare import Preparation
from shared.errors import BadRequest, ConfigError, Unprocessable
from shared.images import ImageStore
from tests.tiny_student import make_student, picture, training_file, user


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ImageStore:
    return ImageStore(str(tmp_path_factory.mktemp("images")))


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory, store: ImageStore) -> LoadedModel:
    return load("tiny", make_student(tmp_path_factory.mktemp("student")), store)


def data_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def prompt(student: LoadedModel, *messages: Any) -> list[int]:
    parsed = parse(list(messages))
    return student.renderer.prompt(parsed.messages, [student.pictures.get(url) for url in parsed.image_urls])


def test_a_prompt_is_the_beginning_of_the_dialogue(student: LoadedModel, store: ImageStore) -> None:
    """Token ids are equal in serving and in training, answer for answer."""
    url = "comd-image:" + store.put(picture(3))
    turns = [user(url, "what?"), {"role": "assistant", "content": "red"}, user(None, "sure?")]
    whole = [*turns, {"role": "assistant", "content": "yes"}]
    parsed = parse(whole)
    rendered = student.renderer.dialogue(parsed.messages, [student.pictures.get(url)])
    for asked, (start, end), answer in zip((turns[:1], turns), rendered.answers, ("red", "yes"), strict=True):
        assert rendered.input_ids[:start] == prompt(student, *asked)
        assert student.renderer.answer_text(rendered.input_ids[start:end]) == f"{answer}</s>"
    assert rendered.input_ids.count(3) == 4


def test_control_tokens_in_a_text_stay_text(student: LoadedModel) -> None:
    ids = prompt(student, user(None, "an <image> and </s>"))
    assert 3 not in ids
    assert 2 not in ids


def test_a_picture_is_prepared_once_and_kept_within_the_limit(student: LoadedModel) -> None:
    pictures = Pictures(student.renderer.processor, None, cache_bytes=3 * 64 * 64 * 4 * 2)
    urls = [data_url(picture(red)) for red in (1, 2, 3)]
    first = pictures.get(urls[0])
    assert pictures.get(urls[0]) is first
    for url in urls:
        pictures.get(url)
    assert pictures.get(urls[0]) is not first


@pytest.mark.parametrize(
    "url", ["http://x/y.png", "comd-image:" + "a" * 64, "data:image/png;base64,%%", "data:x,y"]
)
def test_other_urls_are_refused(student: LoadedModel, url: str) -> None:
    with pytest.raises(BadRequest):
        Pictures(student.renderer.processor, None).get(url)


def test_the_short_way_prepares_what_the_processor_prepares(student: LoadedModel) -> None:
    image = Image.open(io.BytesIO(picture(9, 99)))
    short = prepare_llava(student.renderer.processor, image)
    whole = prepare_any(student.renderer.processor, image)
    assert short.placeholder == whole.placeholder
    assert short.inputs.keys() == whole.inputs.keys()
    assert all(torch.equal(short.inputs[name], whole.inputs[name]) for name in whole.inputs)


def test_the_noise_is_a_function_of_seed_step_and_token() -> None:
    seeds = torch.tensor([1, 2, 1])
    first = gumbel(seeds, 0, 50)
    assert torch.equal(first[0], first[2])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, gumbel(seeds, 1, 50))
    assert torch.equal(first[1:2], gumbel(torch.tensor([2]), 0, 50))


def test_samples_follow_the_softmax() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    count, temperature = 20_000, 0.7
    sampling = SeededSampling(list(range(count)), [temperature] * count)
    drawn = sampling.choose(logits.expand(count, 4), 5)
    shares = torch.bincount(drawn, minlength=4) / count
    assert torch.allclose(shares, torch.softmax(logits / temperature, 0), atol=0.012)


def test_a_row_without_temperature_is_greedy() -> None:
    sampling = SeededSampling([1, 2, 3], [0.0, 0.0, 2.0])
    logits = torch.arange(27.0).reshape(3, 9) / 100
    assert torch.equal(sampling.choose(logits, 5)[:2], logits.argmax(1)[:2])


def rows(student: LoadedModel, count: int) -> list[Row]:
    made = []
    for at in range(count):
        url = data_url(picture(at))
        ids = prompt(student, user(url if at % 3 else None, "what" + "?" * (at % 5)))
        made.append(Row(ids, [student.pictures.get(url)] if at % 3 else [], 1 + at % 7, 0.8, at))
    return made


def test_an_answer_does_not_depend_on_its_batch_mates(student: LoadedModel) -> None:
    together, alone = rows(student, 12), rows(student, 12)
    generate(student, together)
    for row in alone:
        generate(student, [row])
    assert [row.text for row in together] == [row.text for row in alone]
    assert [len(row.tokens) <= row.max_tokens for row in together] == [True] * 12
    assert {row.finish_reason for row in together} <= {"stop", "length"}


def test_our_loop_makes_the_tokens_that_transformers_makes(student: LoadedModel) -> None:
    ours, theirs = rows(student, 20), rows(student, 20)
    with torch.inference_mode():
        decode(student, ours)
        decode_by_transformers(student, theirs)
    assert [(row.tokens, row.finish_reason) for row in ours] == [(r.tokens, r.finish_reason) for r in theirs]
    assert len({len(row.tokens) for row in ours}) > 4


def test_a_stop_string_ends_a_row(student: LoadedModel) -> None:
    (free,) = rows(student, 1)
    free.max_tokens = 12
    generate(student, [free])
    assert len(free.text) > 4
    (cut,) = rows(student, 1)
    cut.max_tokens, cut.stops = 12, (free.text[2:4],)
    generate(student, [cut])
    assert cut.text == free.text[: free.text.index(free.text[2:4])]
    assert cut.finish_reason == "stop"


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.json"):
        load("x", tmp_path, None)


def preparation(student: LoadedModel, max_length: int = 250, **options: bool) -> Preparation:
    return Preparation(student.renderer, student.pictures, max_length, seed=1, **options)


def test_examples_carry_labels_on_answers_only(
    student: LoadedModel, store: ImageStore, tmp_path: Path
) -> None:
    file = training_file(tmp_path / "train.jsonl", store, 4)
    shard = preparation(student, needs_picture=True).file(file)
    examples = [example for _, example in shard.examples]
    counts = shard.counts
    assert (counts.records, counts.turns, counts.left_out) == (4, 8, 0)
    text = student.renderer.tokenizer.decode([t for t in examples[2].labels if t != IGNORED])
    assert text == "20</s>none</s>"
    batch = Collator(student.pictures, 0)(examples)
    assert batch["pixel_values"].shape == (4, 3, 64, 64)
    assert batch["input_ids"].shape == batch["labels"].shape == batch["attention_mask"].shape
    assert (batch["labels"][batch["attention_mask"] == 0] == IGNORED).all()


def test_an_answer_of_weight_0_is_context_without_labels(
    student: LoadedModel, store: ImageStore, tmp_path: Path
) -> None:
    file = training_file(tmp_path / "train.jsonl", store, 3)
    line = orjson.loads(file.read_bytes().splitlines()[2])
    line["messages"][1]["weight"] = 0
    file.write_bytes(orjson.dumps(line))
    ((_, example),) = preparation(student, needs_picture=True).file(file).examples
    text = student.renderer.tokenizer.decode([t for t in example.labels if t != IGNORED])
    assert text == "none</s>"
    assert "20</s>" in student.renderer.tokenizer.decode(example.input_ids)


def test_long_records_are_split_and_single_long_turns_left_out(
    student: LoadedModel, store: ImageStore, tmp_path: Path
) -> None:
    file = training_file(tmp_path / "train.jsonl", store, 3)
    shard = preparation(student, max_length=30).file(file)
    assert (len(shard.examples), shard.counts.turns, shard.counts.left_out) == (6, 6, 0)
    assert all(len(example.input_ids) <= 30 for _, example in shard.examples)
    assert preparation(student, max_length=25).file(file).counts.left_out == 2  # "10" and "20"


def test_a_template_whose_spans_miss_the_answer_refuses_the_line(
    student: LoadedModel, store: ImageStore, tmp_path: Path
) -> None:
    file = training_file(tmp_path / "train.jsonl", store, 2)
    renderer = Renderer(student.renderer.processor)
    renderer.template = renderer.template.replace("{{ eos_token }}{% endgeneration %}", "{% endgeneration %}")
    with pytest.raises(Unprocessable, match=r"line 1: the labels do not line up"):
        Preparation(renderer, student.pictures, 250, 1).file(file)


def test_pretraining_needs_a_picture_in_every_line(student: LoadedModel, tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    file.write_text('{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n')
    assert preparation(student).file(file).counts.records == 1
    with pytest.raises(Unprocessable, match="line 1: stage pretrain needs a picture"):
        preparation(student, needs_picture=True).file(file)
