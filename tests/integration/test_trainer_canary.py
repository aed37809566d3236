"""The canary's known answers, from a tiny student in transformers."""

from pathlib import Path

import pytest
import torch

from comd.engine.generate import generate
from comd.engine.model import LoadedModel, Row, load
from services.trainer.serving import probes
from services.trainer.training.canary import MARGIN_AND_TOLERANCE, canary_prompts, make_canary
from shared.images import ImageStore
from tests.tiny_student import make_student, training_file, user


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedModel:
    """A student whose greedy answers are decided: its last layer is scaled up."""
    student = load("tiny", make_student(tmp_path / "student"), ImageStore(str(tmp_path / "images")))
    with torch.no_grad():
        student.model.lm_head.weight.mul_(20)
    return student


def test_prompts_are_first_questions_of_evenly_spread_lines(tmp_path: Path) -> None:
    path = training_file(tmp_path / "train.jsonl", ImageStore(str(tmp_path / "images")), num_records=20)
    found = canary_prompts(path, limit=4)
    lines = path.read_text().splitlines()
    urls = [prompt[0]["content"][0]["image_url"]["url"] for prompt in found]
    assert all(url in lines[at] for url, at in zip(urls, (0, 5, 10, 15), strict=True))
    assert [prompt[0]["content"][1]["text"] for prompt in found] == ["what red is it?"] * 4
    assert len(canary_prompts(path, limit=40)) == 20


def test_known_answers_are_what_the_engine_generates(tmp_path: Path, loaded: LoadedModel) -> None:
    prompts = canary_prompts(training_file(tmp_path / "t", ImageStore(str(tmp_path / "images"))))
    made = make_canary(loaded, prompts)
    assert len(made) >= 6
    for probe in made:
        picture = loaded.pictures.get(probe.messages[0]["content"][0]["image_url"]["url"])
        parts = [{"type": "image"}, {"type": "text", "text": "what red is it?"}]
        prompt = loaded.renderer.prompt([{"role": "user", "content": parts}], [picture])
        row = Row(prompt, [picture], 16, 0.0, 0)
        generate(loaded, [row])
        assert row.text.startswith(probe.text)
        assert probe.mean_logprob is not None
        assert -5 < probe.mean_logprob < 0


def test_an_answer_is_cut_before_a_near_tie(loaded: LoadedModel, tmp_path: Path) -> None:
    prompts = canary_prompts(training_file(tmp_path / "t", ImageStore(str(tmp_path / "images"))))
    whole = {probe.text for probe in make_canary(loaded, prompts)}
    with torch.no_grad():  # every token has a twin
        loaded.model.lm_head.weight[50:100] = loaded.model.lm_head.weight[:50]
    cut = make_canary(loaded, prompts)
    assert whole
    assert cut == []


def test_a_question_that_fills_the_context_is_no_probe(loaded: LoadedModel) -> None:
    long, short = user(None, "?" * 250), user(None, "?" * 200)  # of 256 tokens
    assert [probe.messages for probe in make_canary(loaded, [[long], [short]])] == [[short]]


def test_probes_are_kept_beside_the_weights(tmp_path: Path, loaded: LoadedModel) -> None:
    prompts = canary_prompts(training_file(tmp_path / "t", ImageStore(str(tmp_path / "images"))), 2)
    made = make_canary(loaded, prompts)
    assert probes.read(tmp_path) == []
    probes.write(tmp_path, made)
    assert probes.read(tmp_path) == made
    assert {probe.tolerance for probe in made} == {MARGIN_AND_TOLERANCE[torch.float32][1]}
