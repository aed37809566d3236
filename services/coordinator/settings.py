"""Settings of the coordinator and of its workers: one model, so that both can share one environment."""

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.environment import told
from shared.keys import home
from shared.settings import ProcessSettings, default_image_store
from shared.types import ServerRoot


class CoordinatorSettings(ProcessSettings):
    model_config = SettingsConfigDict(env_prefix="COMD_COORDINATOR_")

    host: str = "127.0.0.1"
    port: int = Field(8100, ge=1, le=65535)
    database_url: str = Field(
        default_factory=lambda: told("DATABASE_URL") or "postgresql://127.0.0.1:5432/comd",
        description="a Postgres server; DATABASE_URL and DATABASE_URL_FILE are honoured",
    )
    redis_url: str = Field(
        default_factory=lambda: told("REDIS_URL") or "redis://127.0.0.1:6379/0",
        description="a Redis server; REDIS_URL and REDIS_URL_FILE are honoured",
    )
    image_store: str = Field(default_factory=default_image_store)
    data_roots: tuple[Path, ...] = Field(
        default_factory=lambda: _data_roots(), description="data sets are read only below these folders"
    )
    teacher_url: ServerRoot = Field(
        "http://127.0.0.1:8102", description="the teacher service, or any OpenAI-compatible server"
    )
    teacher_model: str | None = Field(
        None, description="of such a server; default: the only one that it lists"
    )
    assessor_url: ServerRoot = "http://127.0.0.1:8103"
    augmentor_url: ServerRoot = "http://127.0.0.1:8104"
    trainer_url: ServerRoot = "http://127.0.0.1:8105"
    timeout_s: float = Field(600.0, gt=0, description="the longest wait for one reply of a service")
    requests_per_minute: int = Field(
        12_000,
        ge=1,
        description="of one key, or of one address without a key; 429 beyond, counted by process",
    )
    allowed_hosts: frozenset[str] = Field(
        frozenset(),
        description="`host` or `host:port` by which browsers may reach the dashboard, besides loopback",
    )
    max_body_bytes: int = Field(1024 * 1024, ge=1024, description="of one request; 413 beyond")
    streams_per_key: int = Field(20, ge=1, description="event streams open at once; 429 beyond")
    queue_name: str = Field("comd:tasks", description="the Redis stream; one per installation")
    concurrency: int = Field(128, ge=1, le=4096, description="worker: tasks (images) at once")
    lease_s: float = Field(15.0, gt=0, description="a task without a sign of life for so long is given away")
    metrics_port: int = Field(
        0, ge=0, le=65535, description="worker: /metrics on this port of `host`, under the key; 0 is off"
    )
    tick_s: float = Field(0.2, gt=0, description="how often the driver looks at each run")
    published_at_once: int = Field(512, ge=1, description="bound on the tasks in the queue (back-pressure)")


def _data_roots() -> tuple[Path, ...]:
    """`COMD_DATA_ROOTS`, separated as PATH is; else `data` below `COMD_HOME`."""
    given = os.environ.get("COMD_DATA_ROOTS")
    return tuple(Path(root) for root in given.split(os.pathsep)) if given else (home() / "data",)
