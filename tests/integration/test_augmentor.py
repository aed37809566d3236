"""The augmentor over real HTTP, in front of engines that reply late, in any order, or not as asked."""

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from services.augmentor.app import AugmentorSettings, create_augmentor_app
from shared.keys import Keys
from shared.types import EngineSpec, JsonObject
from tests.loopback import serving

KEYS = Keys(api="api-key", internal="internal-key")
HEADERS = {"authorization": "Bearer internal-key"}
THINGS = ("cups", "chairs", "birds", "lamps", "boats")
PARENTS = [
    {"id": number, "text": f"How many things, {number}?", "task_type": "count"} for number in range(12)
]


def completion(said: str | None, finish_reason: str = "stop") -> JsonObject:
    return {"choices": [{"message": {"content": said}, "finish_reason": finish_reason}], "usage": {}}


def engine(reply: Callable[[JsonObject], Any], most_delay_s: float = 0.0) -> FastAPI:
    """An engine that gives `reply(body)` after a random time."""
    app = FastAPI()

    @app.get("/v1/models")
    async def models() -> JsonObject:
        return {"data": [{"id": "m"}]}

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Any:
        said = reply(await request.json())
        await asyncio.sleep(random.uniform(0, most_delay_s))
        return said

    return app


@contextmanager
def augmentor(app: FastAPI, tmp_path: Any, **spec: Any) -> Iterator[Callable[..., httpx.Response]]:
    """A way to ask the augmentor in front of the engine."""
    with serving(app) as engine_url:
        settings = AugmentorSettings(
            engine=EngineSpec(base_url=engine_url, model="m", **spec), image_store=str(tmp_path)
        )
        with serving(create_augmentor_app(settings, KEYS)) as url:

            def ask(parents: list[JsonObject] = PARENTS, existing: tuple[str, ...] = ()) -> httpx.Response:
                body = {"image": None, "parents": parents, "existing": existing, "seed": 1}
                return httpx.post(f"{url}/v1/augmentations", headers=HEADERS, json=body, timeout=20)

            yield ask


def test_more_text_than_an_image_can_have_is_refused(tmp_path: Any) -> None:
    with augmentor(engine(lambda _: completion("What is on the desk?")), tmp_path) as ask:
        said = ask(existing=("x" * 900_000,) * 5)
    assert said.status_code == 422
    assert (
        "existing: expected 4000000 characters at most in all, got 4500000" in said.json()["error"]["message"]
    )


def few_questions(body: JsonObject) -> JsonObject:
    """By the request's seed one of so few questions that the parents are in each other's way."""
    choose = random.Random(body["seed"])
    return completion(
        f"How many {choose.choice(THINGS)} stand on the {choose.choice(('left', 'right'))} side?"
    )


def test_the_outcome_never_depends_on_the_timing_of_replies(tmp_path: Any) -> None:
    outcomes = []
    with augmentor(engine(few_questions, most_delay_s=0.008), tmp_path) as ask:
        for _ in range(6):
            said = ask(random.sample(PARENTS, len(PARENTS))).json()
            outcomes.append((said["accepted"], said["rejected"]))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    accepted, rejected = outcomes[0]
    assert accepted
    assert {candidate["reason"] for candidate in rejected} == {"not novel"}


def test_earlier_parents_and_earlier_attempts_come_first(tmp_path: Any) -> None:
    same = engine(lambda _: completion("What is on the wooden desk?"), most_delay_s=0.008)
    with augmentor(same, tmp_path) as ask:
        said = ask([PARENTS[7], PARENTS[3], PARENTS[5]]).json()
    assert [(one["parent_id"], one["attempt"]) for one in said["accepted"]] == [(3, 1)]
    order = [(one["parent_id"], one["attempt"]) for one in said["rejected"]]
    assert order == [(5, 1), (7, 1), (5, 2), (7, 2), (5, 3), (7, 3)]
    assert all(
        (one["rouge_l"], one["nearest"]) == (1.0, "What is on the wooden desk?") for one in said["rejected"]
    )


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (completion("Sure! Here it is:\nWhat is on the desk?"), "several lines"),
        (completion("What is on the old", "length"), "cut off at the length limit"),
        (completion(None), "expected text"),
        ({"error": {"message": "worker died"}}, "answered 500"),
        ({"text": "no choices"}, "expected a chat completion"),
    ],
)
def test_a_reply_that_is_no_question_is_an_attempt_and_no_more(
    tmp_path: Any, reply: Any, reason: str
) -> None:
    """Three parents, of which the engine fails one."""

    def fails_one(body: JsonObject) -> Any:
        variable = body["messages"][-1]["content"][-1]["text"]
        return reply if "things, 1?" in variable else few_questions(body)

    with augmentor(engine(fails_one), tmp_path) as ask:
        said = ask(PARENTS[:3]).json()
    failed = [one for one in said["rejected"] if one["parent_id"] == 1]
    assert [one["attempt"] for one in failed] == [1, 2, 3]
    assert all(reason in one["reason"] for one in failed)
    assert said["accepted"]


def test_a_parent_that_stands_twice_is_refused(tmp_path: Any) -> None:
    with augmentor(engine(few_questions), tmp_path) as ask:
        reply = ask([PARENTS[4], PARENTS[2], PARENTS[4]])
    assert reply.status_code == 422
    assert "id 4 stands 2 times" in reply.json()["error"]["message"]


def test_the_schema_is_sent_where_the_engine_takes_it(tmp_path: Any) -> None:
    def by_form(body: JsonObject) -> JsonObject:
        held = body.get("response_format")
        text = "What is on the desk over there?"
        return completion(json.dumps({"question": text}) if held else text)

    for json_schema, version in ((True, "augmentor-2"), (False, "augmentor-2-lines")):
        with augmentor(engine(by_form), tmp_path, json_schema=json_schema) as ask:
            said = ask(PARENTS[:1]).json()
        assert [one["text"] for one in said["accepted"]] == ["What is on the desk over there?"]
        assert said["prompt_version"] == version


def test_an_engine_that_refuses_the_schema_says_what_to_set(tmp_path: Any) -> None:
    def refuses(body: JsonObject) -> JSONResponse:
        assert "response_format" in body
        return JSONResponse({"error": {"message": "response_format: not supported"}}, 400)

    with augmentor(engine(refuses), tmp_path, kind="vllm") as ask:
        reply = ask(PARENTS[:1])
    said = reply.json()["error"]
    assert (reply.status_code, said["code"]) == (422, "bad_configuration")  # for which workers wait
    assert "set json_schema = false on the engine of the augmentor" in said["message"]


def test_another_refusal_of_the_engine_is_passed_on(tmp_path: Any) -> None:
    def refuses(_: JsonObject) -> JSONResponse:
        return JSONResponse({"error": {"message": "the prompt is too long"}}, 400)

    with augmentor(engine(refuses), tmp_path, kind="vllm") as ask:
        reply = ask(PARENTS[:1])
    assert reply.status_code == 400
    assert "json_schema" not in reply.json()["error"]["message"]
