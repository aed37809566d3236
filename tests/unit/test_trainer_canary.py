"""The canary against engines that speak the protocol: right ones, stale ones, those that stumble."""

import json

import orjson
import pytest

from services.trainer.serving.canary import check
from services.trainer.serving.probes import Probe
from services.trainer.serving.wire import Answer
from shared.types import JsonObject
from tests.tiny_student import user

RIGHT = Probe([user(None, "what red?")], "120", 3, ended=False, mean_logprob=-0.5, tolerance=0.01)
ENDED = Probe([user(None, "and green?")], "none", 4, ended=True, mean_logprob=-0.2, tolerance=0.01)


class Engine:
    """Gives prepared answers by question, and keeps what it was asked."""

    def __init__(self, *answers: tuple[str, str, float]):
        self.answers = list(answers)
        self.asked: list[JsonObject] = []

    async def ask(self, body: bytes) -> Answer:
        self.asked.append(orjson.loads(body))
        text, finish_reason, logprob = self.answers.pop(0)
        logprobs = {"content": [{"logprob": logprob} for _ in text]}
        choice = {"message": {"content": text}, "finish_reason": finish_reason, "logprobs": logprobs}
        return Answer(200, {}, json.dumps({"choices": [choice]}).encode())


async def test_equal_answers_agree_and_are_asked_greedily() -> None:
    engine = Engine(("120", "length", -0.501), (" none", "stop", -0.2))
    assert await check(engine.ask, "ckpt-1", [RIGHT, ENDED], with_logprobs=True) is None
    first, second = engine.asked
    assert (first["model"], first["temperature"], first["logprobs"]) == ("ckpt-1", 0, True)
    assert (first["max_tokens"], second["max_tokens"]) == (3, 5)  # one more, to see it end


@pytest.mark.parametrize(
    ("answer", "probe"),
    [
        (("130", "length", -0.5), RIGHT),  # other weights
        (("120", "length", -0.52), RIGHT),  # other weights that give the same short answer
        (("nones", "length", -0.2), ENDED),  # does not end where it should
        (("", "stop", 0.0), RIGHT),
    ],
)
async def test_another_answer_is_shown_beside_the_known_one(
    answer: tuple[str, str, float], probe: Probe
) -> None:
    found = await check(Engine(answer).ask, "ckpt-1", [probe], with_logprobs=True)
    assert found is not None
    assert repr(probe.text) in str(found)
    assert repr(answer[0]) in str(found)


async def test_an_engine_without_logprobs_is_judged_by_its_text() -> None:
    engine = Engine(("120", "length", -9.0))
    assert await check(engine.ask, "ckpt-1", [RIGHT], with_logprobs=False) is None
    assert "logprobs" not in engine.asked[0]


async def test_an_engine_that_refuses_disagrees() -> None:
    async def refuse(_: bytes) -> Answer:
        return Answer(500, {}, b"broken")

    found = await check(refuse, "ckpt-1", [RIGHT], with_logprobs=True)
    assert "status 500: broken" in str(found)
