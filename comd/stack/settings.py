"""Settings of the local stack: which services run on this machine and what each is told.

A table such as `[teacher]` holds that service's own settings; they reach it through its environment.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from shared.environment import told
from shared.keys import home
from shared.settings import ProcessSettings, default_image_store
from shared.types import EngineSpec

ROLES = ("teacher", "assessor", "augmentor")
SERVICES = (*ROLES, "trainer", "coordinator")
PORT_OFFSETS = {
    "coordinator": 0,
    "scripted": 1,
    "teacher": 2,
    "assessor": 3,
    "augmentor": 4,
    "trainer": 5,
    "redis": 9,
}


class StackSettings(ProcessSettings):
    model_config = SettingsConfigDict(env_prefix="COMD_STACK_")

    home: Path = Field(default_factory=home)
    base_port: int = Field(8100, ge=1, le=65000, description="the coordinator's; the others follow")
    workers: int = Field(1, ge=1)
    engine: EngineSpec | None = Field(
        None, description="the engine of all three roles that have none of their own"
    )
    scripted: dict[str, Any] | None = Field(None, description="start the scripted engine with these flags")
    image_store: str = Field(default_factory=default_image_store)
    database_url: str | None = Field(default_factory=lambda: told("DATABASE_URL"))
    redis_url: str | None = Field(default_factory=lambda: told("REDIS_URL"))
    teacher: dict[str, Any] = Field(default_factory=dict)
    assessor: dict[str, Any] = Field(default_factory=dict)
    augmentor: dict[str, Any] = Field(default_factory=dict)
    trainer: dict[str, Any] = Field(default_factory=dict)
    coordinator: dict[str, Any] = Field(default_factory=dict)

    def elsewhere(self) -> set[str]:
        """Services that are not started here, because `[coordinator]` names the URL of another in their place."""
        return {name for name in (*ROLES, "trainer") if f"{name}_url" in self.coordinator}

    @model_validator(mode="after")
    def _tables_have_a_use(self) -> "StackSettings":
        for name in sorted(self.elsewhere()):
            if getattr(self, name):
                raise ValueError(
                    f"[{name}] is for a service of this stack, but {name}_url names another; drop one"
                )
        return self

    def port(self, name: str) -> int:
        return self.base_port + PORT_OFFSETS[name]

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port(name)}"


def environment(service: str, values: dict[str, Any]) -> dict[str, str]:
    """A service's settings as environment variables; tables and lists travel as JSON."""
    return {
        f"COMD_{service.upper()}_{key.upper()}": value if isinstance(value, str) else json.dumps(value)
        for key, value in values.items()
        if value is not None
    }


def role_settings(settings: StackSettings, role: str) -> dict[str, Any]:
    """What a role service is told: its own table, else the stack's engine or the scripted one."""
    values: dict[str, Any] = {"port": settings.port(role), "image_store": settings.image_store}
    if settings.engine is not None:
        values["engine"] = settings.engine.model_dump()
    elif settings.scripted is not None:
        scripted = EngineSpec(base_url=settings.url("scripted"), model="scripted", kind="scripted")
        values["engine"] = scripted.model_dump()
    return {**values, **getattr(settings, role)}
