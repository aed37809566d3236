"""Calls to the role services over pooled HTTP, or to a bare server in the place of the teacher's.

In: boundary types. Out: boundary types, or Waiting (ask again later, for ever), Unreadable (ask again a few
times) or ItemFailed (this one item cannot be done).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import httpx
import orjson
from pydantic import BaseModel, ValidationError

from services.coordinator.bare_teacher import BareTeacher
from services.coordinator.settings import CoordinatorSettings
from shared.engine import pooled_client
from shared.errors import ComdError
from shared.keys import Keys
from shared.messages import user_message
from shared.types import (
    Assessment,
    AssessmentRequest,
    Augmentation,
    AugmentationRequest,
    EngineSpec,
    JsonObject,
    RoleIdentity,
    Usage,
)
from shared.usage import usage_of

ENGINE_HEADER = "x-comd-engine"
SECONDS_HEADER = "x-comd-engine-seconds"
WAIT_STATUSES = {401, 408, 429, 503, 504}
WAIT_CODES = {"engine_unavailable", "checkpoint_not_loaded", "bad_configuration", "model_not_found"}
WaitCause = Literal["busy", "down", "other"]
CAUSES: dict[int, WaitCause] = {429: "busy", 503: "down"}
IDENTITY_KEPT_S = 30.0

Model = TypeVar("Model", bound=BaseModel)


class Waiting(ComdError):
    """Nobody can answer just now; the message is shown to the person who watches the run.

    `cause`: a "busy" service and one that is "down" are so for every caller, "other" may be this call's alone.
    """

    def __init__(self, message: str, retry_after_s: float = 1.0, cause: WaitCause = "other"):
        super().__init__(message)
        self.retry_after_s, self.cause = retry_after_s, cause


class Unreadable(ComdError):
    """An answer came, but not in the protocol's form."""


class ItemFailed(ComdError):
    """The service refuses this item, and would refuse it again."""


OURS = (Waiting, Unreadable, ItemFailed)


class Answer:
    """One chat reply: what is stored of it."""

    __slots__ = ("finish_reason", "text", "usage")

    def __init__(self, text: str, finish_reason: str, usage: Usage):
        self.text, self.finish_reason, self.usage = text, finish_reason, usage


class Http:
    """One pool of connections to our own services, under the internal key."""

    def __init__(self, keys: Keys, timeout_s: float):
        self._client = pooled_client(timeout_s)
        self._client.headers["authorization"] = f"Bearer {keys.internal}"

    async def close(self) -> None:
        await self._client.aclose()

    async def request(self, method: str, url: str, body: Any = None, **options: Any) -> JsonObject:
        """The reply's JSON object, or one of this module's three errors."""
        return (await self.timed_request(method, url, body, **options))[0]

    async def timed_request(
        self, method: str, url: str, body: Any = None, **options: Any
    ) -> tuple[JsonObject, float]:
        """The same, and the seconds that an engine took: as the service says, else by our own clock."""
        headers = options.pop("headers", {})
        if body is not None:
            options["content"] = body if isinstance(body, bytes) else orjson.dumps(body)
            headers = {"content-type": "application/json", **headers}
        started = time.monotonic()
        try:
            response = await self._client.request(method, url, headers=headers, **options)
        except (httpx.HTTPError, OSError) as error:
            said = str(error) or type(error).__name__
            raise Waiting(f"{url} cannot be reached ({said})", cause="down") from error
        if not response.is_success:
            raise _refusal(url, response)
        try:
            reply = orjson.loads(response.content or b"{}")
        except orjson.JSONDecodeError as error:
            raise Unreadable(f"{url}: expected JSON, got {response.text[:200]!r}") from error
        if not isinstance(reply, dict):
            raise Unreadable(f"{url}: expected a JSON object, got {response.text[:200]!r}")
        return reply, _engine_seconds(response, time.monotonic() - started)


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

    async def try_out(self, role: str, model: str, engine: EngineSpec | None, picture: str | None) -> None:
        """One short answer: it shows that the key opens more than the list of models, and that a picture is taken.

        `picture` is a `data:` URL.
        """
        message = user_message(None, "Answer with the word yes.")
        if picture is not None:
            message["content"].insert(0, {"type": "image_url", "image_url": {"url": picture}})
        asked = {"messages": [message], "max_tokens": 1}
        await self._complete(role, model, asked, engine)

    async def chat(
        self,
        role: str,
        model: str,
        image: str | None,
        text: str,
        sampling: JsonObject,
        seed: int,
        engine: EngineSpec | None = None,
    ) -> Answer:
        """One answer of the teacher or the student to one instruction."""
        asked = {"messages": [user_message(image, text)], "seed": seed, **sampling}
        return _answer(self.urls[role], *await self._complete(role, model, asked, engine))

    async def assess(self, asked: AssessmentRequest, engine: EngineSpec | None) -> Assessment:
        url = f"{self.urls['assessor']}/v1/assessments"
        body = asked.model_dump_json().encode()
        return _read(Assessment, await self.http.request("POST", url, body, headers=_engine(engine)))

    async def augment(self, asked: AugmentationRequest, engine: EngineSpec | None) -> Augmentation:
        url = f"{self.urls['augmentor']}/v1/augmentations"
        body = asked.model_dump_json().encode()
        return _read(Augmentation, await self.http.request("POST", url, body, headers=_engine(engine)))

    async def _complete(
        self, role: str, model: str, asked: JsonObject, engine: EngineSpec | None
    ) -> tuple[JsonObject, float]:
        """The reply, and the seconds that the engine took."""
        with self._forgetting(role, engine):
            if role == "teacher" and await self.bare.is_there():
                return await self.bare.chat(model, asked, engine)
            url, body = f"{self.urls[role]}/v1/chat/completions", {"model": model, **asked}
            return await self.http.timed_request("POST", url, body, headers=_engine(engine))

    @contextmanager
    def _forgetting(self, role: str, engine: EngineSpec | None) -> Iterator[None]:
        """Whoever comes back after a call in vain may be somebody else. A bare server's errors become ours."""
        try:
            yield
        except ComdError as error:
            ours = error if isinstance(error, OURS) else _sorted_error(error)
            if isinstance(ours, Waiting) and ours.cause != "busy":
                self._identities.pop((role, engine), None)
                self.bare.forget()
            raise ours from error


def path(*parts: str) -> str:
    """A URL's path of parts that come from elsewhere."""
    return "/".join(quote(part, safe="") for part in parts)


def _engine(engine: EngineSpec | None) -> dict[str, str]:
    return {} if engine is None else {ENGINE_HEADER: engine.model_dump_json()}


def _refusal(url: str, response: httpx.Response) -> ComdError:
    message, code = f"{url} answered {response.status_code}: {response.text[:300]}", ""
    try:
        error = orjson.loads(response.content)["error"]
        message, code = str(error["message"]), str(error.get("code"))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        pass
    return _sort(response.status_code, code, message, response.headers.get("retry-after"))


def _sorted_error(error: ComdError) -> ComdError:
    """An error of shared.engine, as this module's."""
    return _sort(error.status, error.error_code, error.message, error.headers.get("retry-after"))


def _sort(status: int, code: str, message: str, retry_after: str | None) -> ComdError:
    if status in WAIT_STATUSES or code in WAIT_CODES:
        return Waiting(message, _seconds(retry_after), CAUSES.get(status, "other"))
    return Unreadable(message) if status >= 500 else ItemFailed(message)


def _seconds(retry_after: str | None) -> float:
    try:
        return min(max(float(retry_after or 1.0), 0.05), 30.0)
    except ValueError:
        return 1.0


def _engine_seconds(response: httpx.Response, measured: float) -> float:
    try:
        said = float(response.headers.get(SECONDS_HEADER, measured))
    except ValueError:
        return measured
    return said if 0 <= said < float("inf") else measured


def _answer(url: str, reply: JsonObject, seconds: float) -> Answer:
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
