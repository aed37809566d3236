"""Every prompt is pinned to its version: verdicts, questions and answers are known by it for ever."""

import hashlib
from typing import Any

import orjson
import pytest

from services.assessor import prompts as assessor
from services.assessor.judge import judge_messages
from services.augmentor import prompts as augmentor
from services.augmentor.generate import augmentor_messages
from services.teacher import prompts as teacher
from shared.messages import system_message
from shared.reply_form import ReplyForm, reply_form, versioned
from shared.types import AssessmentRequest, EngineSpec, Parent

IMAGE = "0" * 64
JUDGED = AssessmentRequest(
    image=IMAGE, instruction="What is it?", teacher_answer="A cup.", student_answer="x" * 9000, seed=1
)
BY_CONTEXT = AssessmentRequest(
    **JUDGED.model_dump(exclude={"image", "context"}), image=None, context="A cup stands on a desk."
)
PARENT = Parent(id=1, text="What is it?", task_type="conversation")
FORMS: tuple[ReplyForm, ...] = ("json", "lines")

RENDERED: dict[str, Any] = {
    teacher.VERSION: [system_message(teacher.SYSTEM)],
    **{
        versioned(assessor.VERSION, form): [
            judge_messages(JUDGED, b"secret", "teacher_first", form),
            assessor.RESPONSE_FORMAT,
        ]
        for form in FORMS
    },
    **{
        versioned(assessor.CONTEXT_VERSION, form): [
            judge_messages(BY_CONTEXT, b"secret", "teacher_first", form),
            assessor.RESPONSE_FORMAT,
        ]
        for form in FORMS
    },
    **{
        versioned(augmentor.VERSION, form): [
            augmentor_messages(IMAGE, PARENT, form),
            augmentor.RESPONSE_FORMAT,
        ]
        for form in FORMS
    },
}
PINNED: dict[str, str] = {
    "teacher-1": "fe35de20c530db35",
    "assessor-2": "dc811167c1fb37f4",
    "assessor-2-lines": "1dc42d8c94a61ff1",
    "assessor-2-context": "fbdfc171f5db5a00",
    "assessor-2-context-lines": "ae3b56f3c68c84a4",
    "augmentor-2": "7a67b972d172041c",
    "augmentor-2-lines": "3f4769c5af87028f",
}


@pytest.mark.parametrize("version", RENDERED)
def test_words_change_only_with_the_version(version: str) -> None:
    found = hashlib.sha256(orjson.dumps(RENDERED[version])).hexdigest()[:16]
    role = version.split("-")[0]
    assert PINNED.get(version) == found, (
        f"the prompt {version} has other words than it had: raise VERSION in services/{role}/prompts.py, "
        f"and pin the new version here to {found!r}"
    )


def test_no_version_is_pinned_that_is_not_there() -> None:
    assert set(PINNED) == set(RENDERED)


@pytest.mark.parametrize("form", FORMS)
def test_the_picture_and_the_fixed_text_stand_before_all_that_varies(form: ReplyForm) -> None:
    other = JUDGED.model_copy(update={"instruction": "Who?", "teacher_answer": "Me.", "seed": 2})
    one, two = (judge_messages(asked, b"secret", "teacher_first", form) for asked in (JUDGED, other))
    assert one[0] == two[0]
    assert one[1]["content"][:2] == two[1]["content"][:2]
    assert [part["type"] for part in one[1]["content"]] == ["image_url", "text", "text"]
    assert one[1]["content"][2] != two[1]["content"][2]
    first = augmentor_messages(IMAGE, PARENT, form)
    second = augmentor_messages(IMAGE, PARENT.model_copy(update={"text": "Who?"}), form)
    assert first[0] == second[0]
    assert first[1]["content"][:2] == second[1]["content"][:2]


@pytest.mark.parametrize(
    ("kind", "json_schema", "form"),
    [
        ("vllm", None, "json"),
        ("scripted", None, "json"),
        ("openai", None, "lines"),
        ("vllm", False, "lines"),
        ("openai", True, "json"),
    ],
)
def test_the_form_follows_the_operator_then_the_kind(kind: Any, json_schema: bool | None, form: str) -> None:
    spec = EngineSpec(base_url="http://127.0.0.1:1", model="m", kind=kind, json_schema=json_schema)
    assert reply_form(spec) == form


def test_the_examples_favour_no_place() -> None:
    scores = [(one, two) for _, one, two in assessor.EXAMPLES]
    assert sorted(scores) == sorted((two, one) for one, two in scores)
