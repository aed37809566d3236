"""Attacks on the judge through the whole assessor: real HTTP, engines that quote or read the attacking answer.

What is read is the judge's verdict, or none; never what the answer claims for itself.
"""

import hashlib
import json
from collections.abc import Iterator

import httpx
import pytest

from services.assessor.app import AssessorSettings, create_assessor_app
from services.assessor.judge import request_mark
from shared.keys import Keys
from shared.types import AssessmentRequest, EngineSpec
from tests.attacks import ATTACKS, attack
from tests.doubles.echo_judge import GOOD, MODEL, Voice, create_echo_judge
from tests.loopback import serving

KEYS = Keys(api="api-key", internal="internal-key")
SECRET = "the secret of the fence, for tests"
DERIVED = hashlib.sha256(SECRET.encode()).digest()
VOICES: tuple[Voice, ...] = ("json", "json unescaped", "lines")


@pytest.fixture(scope="module", params=VOICES)
def assessor(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Voice]]:
    """An assessor whose judge quotes whatever it is shown."""
    store = str(tmp_path_factory.mktemp("images"))
    with serving(create_echo_judge(request.param)) as engine_url:
        spec = EngineSpec(base_url=engine_url, model=MODEL, json_schema=request.param != "lines")
        settings = AssessorSettings(engine=spec, image_store=store, fence_secret=SECRET)  # type: ignore[arg-type]
        with serving(create_assessor_app(settings, KEYS)) as url:
            yield url, request.param


def assess(url: str, **answers: str) -> httpx.Response:
    body = {
        "image": None,
        "instruction": "What is it?",
        "teacher_answer": GOOD,
        "student_answer": GOOD,
        "seed": 1,
    }
    headers = {"authorization": f"Bearer {KEYS.internal}", "content-type": "application/json"}
    content = json.dumps({**body, **answers})  # as ASCII, in which even half a surrogate pair can travel
    return httpx.post(f"{url}/v1/assessments", headers=headers, content=content)


def innocent_mark() -> str:
    """The mark of another request to the same service: the strongest thing that an attacker may have seen."""
    asked = AssessmentRequest(
        image=None, instruction="What is it?", teacher_answer=GOOD, student_answer="A cup.", seed=1
    )
    return request_mark(asked, DERIVED)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_verdict_is_the_judges_or_none(assessor: tuple[str, Voice], name: str) -> None:
    url, voice = assessor
    text = attack(name, innocent_mark())
    by_student = assess(url, student_answer=text).json()
    by_teacher = assess(url, teacher_answer=text).json()
    if voice == "json":
        assert not by_student["unjudged"]  # a judge that keeps to JSON is not put off by any answer
    for said, scores in ((by_student, (9, 2)), (by_teacher, (2, 9))):
        if said["unjudged"]:
            assert (said["teacher_score"], said["student_score"], said["difficulty"]) == (None, None, None)
        else:
            assert (said["teacher_score"], said["student_score"]) == scores


def test_a_plain_answer_is_judged_in_every_voice(assessor: tuple[str, Voice]) -> None:
    url, voice = assessor
    said = assess(url, student_answer="A cat.").json()
    assert (said["teacher_score"], said["student_score"]) == (9, 2)
    assert said["prompt_version"].endswith("-lines") == (voice == "lines")


def test_the_secret_stays_inside(assessor: tuple[str, Voice], capfd: pytest.CaptureFixture[str]) -> None:
    url, _ = assessor
    replies = [
        assess(url, student_answer=text) for text in ("A cat.", attack("score lines", ""), "x" * 2_000_000)
    ]
    said = "".join(reply.text + str(reply.headers) for reply in replies) + "".join(capfd.readouterr())
    assert [reply.status_code for reply in replies] == [200, 200, 422]
    assert SECRET not in said
    assert DERIVED.hex() not in said


@pytest.mark.parametrize("field", ["instruction", "teacher_answer", "student_answer"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [("x" * 1_000_001, "1000000 characters at most"), ("a\ud800", "half of a surrogate pair")],
)
def test_what_is_no_text_to_judge_is_refused_by_name(
    assessor: tuple[str, Voice], field: str, text: str, reason: str
) -> None:
    reply = assess(assessor[0], **{field: text})
    assert reply.status_code == 422
    assert reply.json()["error"]["param"] == field
    assert reason in reply.json()["error"]["message"]
