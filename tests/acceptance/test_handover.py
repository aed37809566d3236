"""A student of the trainer's answers the requests of other evaluation tools, each in its own form."""

from collections.abc import Iterator

import pytest

from services.coordinator.benchmarks.items import Item
from tests.handover_problems import colour_problems
from tests.handover_requests import FORMS
from tests.trainer_process import API, TrainerProcess, until

STUDENT = "tiny"


@pytest.fixture(scope="module")
def item(tmp_path_factory: pytest.TempPathFactory) -> Item:
    return colour_problems(tmp_path_factory.mktemp("problems"))[0]


@pytest.fixture(scope="module")
def loaded(trainer: TrainerProcess) -> Iterator[TrainerProcess]:
    until(lambda: trainer.lease("handover", STUDENT)["loaded"], 90)
    yield trainer
    trainer.call("DELETE", "/v1/leases/handover")


@pytest.mark.parametrize("form", FORMS)
def test_the_student_answers(loaded: TrainerProcess, item: Item, form: str) -> None:
    for picture in (item.picture, None):
        body = FORMS[form]("Which colour?", picture, STUDENT)
        limit = "max_completion_tokens" if "max_completion_tokens" in body else "max_tokens"
        first, again = (
            loaded.call("POST", "/v1/chat/completions", key=API, json={**body, limit: 8}) for _ in range(2)
        )
        assert first.status_code == 200, first.text
        reply = first.json()
        assert reply["model"] == STUDENT
        assert reply["choices"][0]["message"]["content"]
        if body.get("temperature") == 0:
            assert again.json()["choices"] == reply["choices"]
        said = "s:Answer shortly." * (form == "vlmevalkit_config") + "u:Which colour?A:"
        pictured = 4 if picture else 0  # tokens of a picture
        assert reply["usage"]["prompt_tokens"] == len(said) + pictured
        assert reply["usage"]["completion_tokens"] <= 8
