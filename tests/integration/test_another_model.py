"""An engine goes away in the middle of a call and comes back with another model: whose answer is it then?"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import pytest

from comd.scripted.app import create_app
from comd.scripted.roles import Behaviour
from services.assessor.app import AssessorSettings, create_assessor_app
from services.augmentor.app import AugmentorSettings, create_augmentor_app
from services.coordinator.bare_teacher import BareTeacher
from services.coordinator.settings import CoordinatorSettings
from services.teacher.app import TeacherSettings, create_teacher_app
from shared.engine import pooled_client
from shared.errors import EngineUnavailable
from shared.keys import Keys
from shared.revisions import Revisions
from shared.types import EngineSpec
from tests.doubles import test_taker
from tests.doubles.door import Door
from tests.doubles.official import write_scienceqa
from tests.doubles.test_taker import TestTaker
from tests.doubles.town import town
from tests.loopback import serving

KEYS = Keys(api="api-key", internal="internal-key")
INTERNAL = {"authorization": "Bearer internal-key"}
QUESTION = {"messages": [{"role": "user", "content": "What colour is the box?"}], "max_tokens": 8}
ANSWERS = {"instruction": "Where?", "teacher_answer": "Here.", "student_answer": "There.", "seed": 3}
PARENTS = [{"id": 1, "text": "What colour is the box?", "task_type": "colour"}]


class Role(NamedTuple):
    """A role service before the engine behind the door."""

    url: str
    path: str
    body: dict[str, Any]

    def asked_as_of(self, revision: str) -> httpx.Response:
        headers = {**INTERNAL, "x-comd-revision": quote(revision)}
        return httpx.post(self.url + self.path, headers=headers, json=self.body)

    def who(self) -> str:
        return str(httpx.get(f"{self.url}/v1/identity", headers=INTERNAL).json()["revision"])


ROLES: dict[str, tuple[Callable[..., Any], Any, str, dict[str, Any]]] = {
    "teacher": (create_teacher_app, TeacherSettings, "/v1/chat/completions", QUESTION),
    "assessor": (create_assessor_app, AssessorSettings, "/v1/assessments", {**ANSWERS, "image": None}),
    "augmentor": (
        create_augmentor_app,
        AugmentorSettings,
        "/v1/augmentations",
        {"image": None, "parents": PARENTS, "existing": [], "seed": 1},
    ),
}


@pytest.fixture
def door() -> Door:
    return Door(create_app(Behaviour(error_rate=0.0, unreadable_rate=0.0)), root="weights-1")


@pytest.fixture
def engine(door: Door) -> Iterator[EngineSpec]:
    with serving(door) as url:
        yield EngineSpec(base_url=url, model="scripted", kind="scripted")


@pytest.fixture(params=list(ROLES))
def role(request: pytest.FixtureRequest, engine: EngineSpec, tmp_path: Path) -> Iterator[Role]:
    create, settings, path, body = ROLES[request.param]
    with serving(create(settings(engine=engine, image_store=str(tmp_path)), KEYS)) as url:
        yield Role(url, path, body)


def test_no_answer_is_given_in_the_name_of_the_model_before(role: Role, door: Door) -> None:
    first = role.who()
    assert first.endswith("|weights-1")
    door.successor = "weights-2"
    refused = role.asked_as_of(first)
    assert refused.status_code == 503, refused.text
    error = refused.json()["error"]
    assert error["code"] == "engine_unavailable"
    assert "weights-2 answers in the place of" in error["message"]
    second = role.who()
    assert second.endswith("|weights-2")
    assert role.asked_as_of(second).status_code == 200


def test_the_same_model_that_comes_back_is_welcome(role: Role, door: Door) -> None:
    first = role.who()
    door.successor = "weights-1"
    assert role.asked_as_of(first).status_code == 200


@pytest.mark.parametrize("role", ["teacher"], indirect=True)
def test_who_answered_to_another_key_may_be_another(role: Role, door: Door) -> None:
    first = role.who()
    door.key = "of-another-server"
    assert role.asked_as_of(first).json()["error"]["code"] == "bad_configuration"
    door.key, door.root = None, "weights-2"
    assert role.who().endswith("|weights-2")


@pytest.mark.parametrize("role", ["teacher"], indirect=True)
def test_who_is_known_to_be_another_is_not_asked_at_all(role: Role, door: Door) -> None:
    assert role.asked_as_of("http://elsewhere|scripted|weights-0").status_code == 503
    assert not door.said
    answered = httpx.post(role.url + role.path, headers=INTERNAL, json=role.body)
    assert answered.status_code == 200  # whoever names nobody takes whoever is there


async def test_a_bare_server_neither(engine: EngineSpec, door: Door, tmp_path: Path) -> None:
    settings = {"teacher_url": engine.base_url, "teacher_model": "scripted", "image_store": str(tmp_path)}
    bare = BareTeacher(CoordinatorSettings(data_roots=[tmp_path], **settings))
    try:
        first = (await bare.identity(None)).revision
        door.successor = "weights-1"
        assert (await bare.chat("scripted", QUESTION, None, first))[0]["choices"]
        door.successor = "weights-2"
        with pytest.raises(EngineUnavailable, match="weights-2 answers in the place of"):
            await bare.chat("scripted", QUESTION, None, first)
    finally:
        await bare.close()


async def test_an_evaluation_waits_for_its_model(tmp_path: Path, postgres_url: str, redis_url: str) -> None:
    def says(text: str) -> str:
        """The first model knows; after two questions another is there, who says the same to everything."""
        if door.root == "second":
            return "E"
        if len(door.said) == 2:
            door.successor = "second"
        return "A"

    door = Door(test_taker.create_app(TestTaker(says=says)), root="first")
    async with town(tmp_path, postgres_url, redis_url, concurrency=1) as place:
        path = str(write_scienceqa(place.folder / "scienceqa"))
        await place.post("/v1/benchmarks", {"name": "scienceqa", "kind": "scienceqa", "path": path})
        with serving(door) as url:
            model = {"engine": {"base_url": url, "model": "taker"}}
            begun = await place.post("/v1/evaluations", {"benchmark": "scienceqa", "model": model})
            said = "second answers in the place of"
            await place.wait(begun["id"], lambda run: said in (run["progress"].get("waiting") or ""))
            door.root = "first"
            assert (await place.wait_for_end(begun["id"]))["status"] == "finished"
        items = (await place.get(f"/v1/evaluations/{begun['id']}/items"))["data"]
    assert len(items) == 5
    assert {item["answer_text"] for item in items} == {"A"}


async def test_one_look_is_enough_for_all_who_ask(engine: EngineSpec, door: Door) -> None:
    async with pooled_client(5.0) as http:
        revisions = Revisions(http)
        assert set(await asyncio.gather(*(revisions.of(engine) for _ in range(20)))) == {
            f"{engine.base_url}|scripted|weights-1"
        }
        assert [path for path, _ in door.heard] == ["/v1/models"]
