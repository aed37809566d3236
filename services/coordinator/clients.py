"""Calls to the role services over pooled HTTP, or to a bare server in the place of the teacher's.

In: boundary types. Out: boundary types, or one of the three errors of `outgoing`.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from services.coordinator.bare_teacher import BareTeacher
from services.coordinator.outgoing import Http, ItemFailed, Unreadable, Waiting, sorted_error
from services.coordinator.settings import CoordinatorSettings
from shared.errors import ComdError
from shared.headers import ENGINE_HEADER, PROMPT_HEADER, REVISION_HEADER
from shared.messages import user_message
from shared.types import (
    Assessment,
    AssessmentRequest,
    Augmentation,
    AugmentationRequest,
    EngineSpec,
    EngineState,
    JsonObject,
    RoleIdentity,
    Usage,
)
from shared.usage import usage_of

IDENTITY_KEPT_S = 30.0

Model = TypeVar("Model", bound=BaseModel)


OURS = (Waiting, Unreadable, ItemFailed)


class Answer:
    """One chat reply: what is stored of it."""

    __slots__ = ("finish_reason", "text", "usage")

    def __init__(self, text: str, finish_reason: str, usage: Usage):
        self.text, self.finish_reason, self.usage = text, finish_reason, usage


class Services:
    """The teacher, the assessor, the augmentor and the student, as the workers call them."""

    def __init__(self, http: Http, settings: CoordinatorSettings):
        self.http = http
        self.urls = {
            "teacher": settings.teacher_url,
            "assessor": settings.assessor_url,
            "augmentor": settings.augmentor_url,
            "student": settings.trainer_url,
        }
        self.bare = BareTeacher(settings)
        self._identities: dict[tuple[str, EngineSpec | None], tuple[float, RoleIdentity]] = {}

    async def close(self) -> None:
        await self.bare.close()
        await self.http.close()

    async def identity(self, role: str, engine: EngineSpec | None, *, fresh: bool = False) -> RoleIdentity:
        """Who answers in the role just now; kept for a while, or until a call is in vain."""
        known = self._identities.get((role, engine))
        if known and not fresh and time.monotonic() - known[0] < IDENTITY_KEPT_S:
            return known[1]
        with self._forgetting(role, engine):
            if role == "teacher" and await self.bare.is_there():
                identity = await self.bare.identity(engine)
            else:
                url = f"{self.urls[role]}/v1/identity"
                identity = _read(RoleIdentity, await self.http.request("GET", url, headers=_engine(engine)))
        self._identities[role, engine] = (time.monotonic(), identity)
        return identity

    async def engine_state(self, role: str, engine: EngineSpec | None) -> EngineState:
        """How the engine behind a role is just now; of a bare server, whether and how soon it says who it is."""
        if role == "teacher" and await self.bare.is_there():
            return await self.bare.state(engine)
        url = f"{self.urls[role]}/v1/engine"
        return _read(EngineState, await self.http.request("GET", url, headers=_engine(engine)))

    async def try_out(self, role: str, model: str, engine: EngineSpec | None, picture: str | None) -> None:
        """One short answer: it shows that the key opens more than the list of models, and that a picture is taken.

        `picture` is a `data:` URL.
        """
        message = user_message(None, "Answer with the word yes.")
        if picture is not None:
            message["content"].insert(0, {"type": "image_url", "image_url": {"url": picture}})
        asked = {"messages": [message], "max_tokens": 1}
        await self.complete(role, model, asked, engine)

    async def chat(
        self,
        role: str,
        model: str,
        image: str | None,
        text: str,
        sampling: JsonObject,
        seed: int,
        engine: EngineSpec | None = None,
        *,
        believed: str | None = None,
    ) -> Answer:
        """One answer of the teacher or the student to one instruction; `believed` as in `complete`."""
        asked = {"messages": [user_message(image, text)], "seed": seed, **sampling}
        return read_answer(
            self.urls[role], *await self.complete(role, model, asked, engine, believed=believed)
        )

    async def assess(self, asked: AssessmentRequest, engine: EngineSpec | None) -> Assessment:
        url = f"{self.urls['assessor']}/v1/assessments"
        body = asked.model_dump_json().encode()
        return _read(Assessment, await self.http.request("POST", url, body, headers=_engine(engine)))

    async def augment(self, asked: AugmentationRequest, engine: EngineSpec | None) -> Augmentation:
        url = f"{self.urls['augmentor']}/v1/augmentations"
        body = asked.model_dump_json().encode()
        return _read(Augmentation, await self.http.request("POST", url, body, headers=_engine(engine)))

    async def complete(
        self,
        role: str,
        model: str,
        asked: JsonObject,
        engine: EngineSpec | None,
        *,
        believed: str | None = None,
        is_plain: bool = False,
    ) -> tuple[JsonObject, float]:
        """The reply, and the seconds that the engine took.

        `believed`: the revision that the answer is recorded under; Waiting where it may be another model's.
        `is_plain`: without the teacher's own prompt.
        """
        with self._forgetting(role, engine):
            if role == "teacher" and await self.bare.is_there():
                return await self.bare.chat(model, asked, engine, believed)
            url, body = f"{self.urls[role]}/v1/chat/completions", {"model": model, **asked}
            headers = _engine(engine) | ({PROMPT_HEADER: "none"} if is_plain else {})
            if believed is not None:
                headers[REVISION_HEADER] = quote(believed)
            return await self.http.timed_request("POST", url, body, headers=headers)

    @contextmanager
    def _forgetting(self, role: str, engine: EngineSpec | None) -> Iterator[None]:
        """Whoever comes back after a call in vain may be somebody else. A bare server's errors become ours."""
        try:
            yield
        except ComdError as error:
            ours = error if isinstance(error, OURS) else sorted_error(error)
            if isinstance(ours, Waiting) and ours.cause != "busy":
                self._identities.pop((role, engine), None)
                self.bare.forget()
            raise ours from error


def _engine(engine: EngineSpec | None) -> dict[str, str]:
    """Escaped, since a header holds no letter beyond ASCII and a model's name may."""
    return {} if engine is None else {ENGINE_HEADER: json.dumps(engine.model_dump())}


def read_answer(url: str, reply: JsonObject, seconds: float) -> Answer:
    """What a reply says. Unreadable where it is no chat completion, or one without text."""
    try:
        choice = reply["choices"][0]
        text = choice["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise Unreadable(f"{url}: expected a chat completion, got {str(reply)[:200]}") from error
    if not isinstance(text, str):
        raise Unreadable(f"{url}: expected text in the message, got {str(choice)[:200]}")
    return Answer(text, str(choice.get("finish_reason") or "stop"), usage_of(reply, seconds))


def _read(model: type[Model], reply: JsonObject) -> Model:
    try:
        return model.model_validate(reply)
    except ValidationError as error:
        raise Unreadable(f"expected {model.__name__}, got {str(reply)[:200]}: {error}") from error
