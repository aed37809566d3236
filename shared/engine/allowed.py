"""Which engines may be asked: those whose host the operator put on the allow-list."""

from urllib.parse import urlsplit

from shared.errors import Unprocessable
from shared.types import EngineSpec


def check_allowed(spec: EngineSpec, allowed_hosts: frozenset[str]) -> None:
    """Unprocessable unless the operator's allow-list has the engine's host (`host` or `host:port`)."""
    parts = urlsplit(spec.base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Unprocessable(f"base_url {spec.base_url!r}: expected http://HOST:PORT or https://HOST")
    if not {parts.hostname, parts.netloc} & allowed_hosts:
        raise Unprocessable(
            f"engine host {parts.netloc!r} is not on the allow-list ({', '.join(sorted(allowed_hosts))}); "
            "the operator adds it with the setting allowed_engine_hosts"
        )
