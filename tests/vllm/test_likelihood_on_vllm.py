"""Likelihoods of choices by way of the teacher service before vLLM, as transformers has them for the same weights."""

from pathlib import Path

import pytest
import torch

from comd.engine.model import LoadedModel, load
from comd.engine.pictures import prepare
from services.coordinator import tested
from services.coordinator.benchmarks.likelihood import best
from services.coordinator.clients import Services
from services.coordinator.outgoing import Http
from services.coordinator.settings import CoordinatorSettings
from services.coordinator.tested import Subject
from tests.tiny_student import picture
from tests.vllm.roles import KEYS, roles_before
from tests.vllm.server import VllmServer

CHOICES = ["the red circle", "What colour is it?", "7", "is there a blue square at the top left of it"]


async def test_choices_are_as_likely_as_in_transformers(
    vllm: VllmServer, talker: Path, tmp_path: Path
) -> None:
    loaded, data = load("talker", talker, None), picture(120)
    with roles_before(vllm.spec, str(tmp_path / "pictures")) as roles:
        services = Services(Http(KEYS, 60.0), CoordinatorSettings(teacher_url=roles.urls["teacher"]))
        where, image = Subject(engine=vllm.spec), roles.pictures.put(data)
        await tested.check_likelihoods(services, where)
        for name, shown in ((image, data), (None, None)):
            found, usage = await tested.likelihoods(services, where, name, "Which one?", CHOICES, seed=3)
            wanted = [by_transformers(loaded, shown, choice) for choice in CHOICES]
            assert [(one.mean_nll, one.num_tokens) for one in found] == [
                (pytest.approx(mean_nll, abs=2e-3), num_tokens) for mean_nll, num_tokens in wanted
            ]
            assert best([one.mean_nll for one in found]) == min(
                range(len(CHOICES)), key=lambda choice: wanted[choice][0]
            )
            assert usage.calls == 1 + len(CHOICES)
        await services.close()


def by_transformers(loaded: LoadedModel, shown: bytes | None, choice: str) -> tuple[float, int]:
    """The loss of transformers itself on the choice, and its number of tokens."""
    tokenizer = loaded.renderer.tokenizer
    pixels = {} if shown is None else prepare(loaded.renderer.processor, shown).inputs
    places = "" if shown is None else loaded.renderer.image_token * 16
    prompt = tokenizer(f"USER:{places} Which one?ASSISTANT:", add_special_tokens=False)["input_ids"]
    said = tokenizer(f" {choice}", add_special_tokens=False)["input_ids"]
    labels = torch.tensor([[-100] * len(prompt) + said])
    with torch.inference_mode():
        loss = loaded.model(input_ids=torch.tensor([prompt + said]), labels=labels, **pixels).loss
    return float(loss), len(said)
