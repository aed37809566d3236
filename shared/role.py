"""What the three role services share: settings, the engine behind the role, its identity, one counted call.

A role service is this, its routes (`shared.role_app`), a prompt, and a reader of replies.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from pydantic import Field, ValidationError

from shared import engine
from shared.errors import Unprocessable
from shared.headers import ENGINE_HEADER
from shared.images import ImageStore
from shared.messages import messages_for_engine
from shared.reply_form import reply_form, versioned
from shared.revisions import Revisions
from shared.service import require_internal
from shared.settings import ProcessSettings, default_image_store, explain
from shared.types import EngineSpec, EngineState, JsonObject, Role, RoleIdentity, Sampling, Usage
from shared.usage import usage_of


class RoleSettings(ProcessSettings):
    """One role service's settings."""

    host: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)
    engine: EngineSpec = EngineSpec(
        base_url="http://127.0.0.1:8000", model="llava-hf/llava-1.5-13b-hf", kind="vllm"
    )
    sampling: Sampling = Sampling()
    image_store: str = Field(default_factory=default_image_store)
    allowed_engine_hosts: frozenset[str] = frozenset({"127.0.0.1", "localhost"})
    allowed_image_hosts: frozenset[str] = frozenset()
    timeout_s: float = Field(300.0, gt=0)


@dataclass(frozen=True)
class Reply:
    text: str
    finish_reason: str
    usage: Usage


@dataclass
class RoleService:
    """The life of one role service: its connections, its pictures, what it knows of its engines."""

    role: Role
    prompt_version: str
    settings: RoleSettings
    has_reply_forms: bool = False  # whether its prompt asks for JSON or for lines, as the engine has it

    def __post_init__(self) -> None:
        self.http = engine.pooled_client(self.settings.timeout_s)
        self.engines = engine.EngineCalls(self.role, self.http)
        self.revisions = Revisions(self.http)
        self.images = ImageStore(self.settings.image_store)

    def engine_of(self, request: Request) -> EngineSpec:
        """The run's engine where one of our own services sends one along, else this service's default."""
        given = request.headers.get(ENGINE_HEADER)
        if given is None:
            return self.settings.engine
        require_internal(request)
        try:
            spec = EngineSpec.model_validate_json(given)
        except ValidationError as error:
            raise Unprocessable(f"{ENGINE_HEADER}: {explain(error)}") from error
        if spec.base_url != self.settings.engine.base_url:
            engine.check_allowed(spec, self.settings.allowed_engine_hosts)
        return spec

    @contextmanager
    def admitted(self, request: Request) -> Generator[EngineSpec]:
        """The engine for a request, which is taken as a whole, or refused before any of it is done."""
        spec = self.engine_of(request)
        with self.engines.admitted(spec):
            yield spec

    async def identity(self, spec: EngineSpec) -> RoleIdentity:
        """Who answers just now. NotFound where the engine does not list the model."""
        version = self.prompt_version
        if self.has_reply_forms:
            version = versioned(version, reply_form(spec))
        return RoleIdentity(
            role=self.role,
            prompt_version=version,
            model=spec.model,
            revision=await self.revisions.of(spec),
            sampling=self.settings.sampling,
        )

    async def state(self, spec: EngineSpec) -> EngineState:
        """How the engine is just now; a probe beside its calls, which never waits for long."""
        return await engine.state_of(self.http, spec, self.engines.gate(spec))

    async def ask(
        self,
        spec: EngineSpec,
        messages: list[JsonObject],
        seed: int,
        response_format: JsonObject | None = None,
    ) -> Reply:
        """One answer of the role's engine, with the role's sampling."""
        body: JsonObject = {
            **self.settings.sampling.model_dump(),
            "seed": seed,
            "messages": await self.ready(messages, spec),
        }
        if response_format is not None:
            body["response_format"] = response_format
        answered = await self.call(spec, body)
        text, finish_reason = engine.text_of(answered.reply)
        return Reply(text, finish_reason, usage_of(answered.reply, answered.seconds))

    async def call(self, spec: EngineSpec, body: JsonObject, believed: str | None = None) -> engine.Answered:
        """One call to the engine, in its turn. EngineUnavailable where its model is not the `believed` one."""
        return await self.revisions.answered(
            spec, believed, lambda on_away: self.engines.chat(spec, body, on_away)
        )

    async def ready(self, messages: list[Any], spec: EngineSpec) -> list[JsonObject]:
        """The messages as this engine takes them."""
        with_uuid = spec.kind == "vllm"
        return await messages_for_engine(messages, self.images, self.settings.allowed_image_hosts, with_uuid)
