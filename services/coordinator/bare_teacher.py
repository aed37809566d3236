"""Any OpenAI-compatible server in the place of the teacher service: no prompt of ours, its own key, never ours.

In: `teacher_url`. Out: whether a bare server stands there, and then its identity and its answers.
"""

import os
import time

import httpx
import orjson

from services.coordinator.settings import CoordinatorSettings
from shared import engine
from shared.errors import ConfigError, EngineUnavailable, NotFound, Unprocessable
from shared.identity import engine_revision
from shared.images import ImageStore
from shared.messages import messages_for_engine
from shared.revisions import Revisions
from shared.types import EngineSpec, EngineState, JsonObject, RoleIdentity, Sampling

KEY_NAME = "COMD_ENGINE_KEY_TEACHER"
PROMPT_VERSION = "none"
LOOKED_FOR_S = 30.0
HEALTH_TIMEOUT_S = 10.0


class BareTeacher:
    """What is known of the server at `teacher_url`, with connections that carry no key of ours."""

    def __init__(self, settings: CoordinatorSettings):
        self.url, self.model = settings.teacher_url, settings.teacher_model
        self._images = ImageStore(settings.image_store)
        self._http = engine.pooled_client(settings.timeout_s)
        self._revisions = Revisions(self._http)
        self._looked: tuple[float, bool] | None = None

    async def close(self) -> None:
        await self._http.aclose()

    async def is_there(self) -> bool:
        """Whether it is not our teacher service that answers; looked at again from time to time."""
        if self._looked is None or time.monotonic() - self._looked[0] > LOOKED_FOR_S:
            self._looked = (time.monotonic(), not await self._is_ours())
        return self._looked[1]

    def forget(self) -> None:
        """A call was in vain: another server may come in its place."""
        self._looked = None

    async def identity(self, given: EngineSpec | None) -> RoleIdentity:
        """Who answers just now. NotFound where the server does not list the model."""
        spec = given or self._spec(self.model or "")
        listed = await self._listed(spec)
        if given is None and self.model is None:
            spec = self._spec(_only(self.url, listed))
        if spec.model not in listed:
            raise NotFound(
                f"model {spec.model!r} is not listed by {self.url}; it has {_names(listed)}",
                code="model_not_found",
            )
        return RoleIdentity(
            role="teacher",
            prompt_version=PROMPT_VERSION,
            model=spec.model,
            revision=spec.revision or engine_revision(spec.base_url, spec.model, listed[spec.model]),
            sampling=Sampling(),
        )

    async def state(self, given: EngineSpec | None) -> EngineState:
        """How the server is just now; a ComdError where it cannot be used."""
        started = time.perf_counter()
        identity = await self.identity(given)
        spec = given or self._spec(identity.model)
        return EngineState(
            **spec.model_dump(include={"base_url", "model", "revision", "kind"}),
            latency_ms=round(1000 * (time.perf_counter() - started), 1),
        )

    async def chat(
        self, model: str, body: JsonObject, given: EngineSpec | None, believed: str | None
    ) -> tuple[JsonObject, float]:
        """The reply to one request and its seconds; pictures are taken from the image store.

        EngineUnavailable where it may be another model's than the `believed` revision's.
        """
        spec = given or self._spec(model)
        self._check(spec)
        messages = await messages_for_engine(body["messages"], self._images, frozenset(), spec.kind == "vllm")
        asked = {**body, "messages": messages}
        return await self._revisions.answered(
            spec,
            believed,
            lambda on_away: engine.timed_chat(self._http, spec, asked, engine.Notices(away=on_away)),
        )

    def _spec(self, model: str) -> EngineSpec:
        key_name = KEY_NAME if os.environ.get(KEY_NAME) else None
        return EngineSpec(base_url=self.url, model=model, key_name=key_name)

    def _check(self, spec: EngineSpec) -> None:
        """Without a teacher service there is no allow-list but what the operator configured: this server."""
        if spec.base_url.rstrip("/") != self.url.rstrip("/"):
            raise Unprocessable(
                f"teacher_url {self.url} is a bare server, so the teacher can be swapped only within it, not for "
                f"{spec.base_url}; run the teacher service in front of both, or change teacher_url"
            )

    async def _listed(self, spec: EngineSpec) -> dict[str, JsonObject]:
        self._check(spec)
        return {str(card.get("id")): card for card in await engine.models(self._http, spec)}

    async def _is_ours(self) -> bool:
        try:
            reply = await self._http.get(f"{self.url.rstrip('/')}/health", timeout=HEALTH_TIMEOUT_S)
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
            raise EngineUnavailable(
                f"{self.url} cannot be reached ({said}); start the teacher or correct teacher_url"
            ) from error
        try:
            health = orjson.loads(reply.content)
        except orjson.JSONDecodeError:
            return False
        return isinstance(health, dict) and health.get("service") == "teacher"


def _only(url: str, listed: dict[str, JsonObject]) -> str:
    if len(listed) != 1:
        raise ConfigError(
            f"{url} lists {len(listed)} models ({_names(listed)}); "
            "name the teacher's with the setting teacher_model (COMD_COORDINATOR_TEACHER_MODEL)"
        )
    return next(iter(listed))


def _names(listed: dict[str, JsonObject]) -> str:
    return ", ".join(sorted(listed)) or "none"
