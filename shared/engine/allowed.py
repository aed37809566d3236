"""Which engines may be asked: those whose host the operator put on the allow-list."""

from shared.errors import Unprocessable
from shared.hosts import leads_to_allowed
from shared.types import EngineSpec


def check_allowed(spec: EngineSpec, allowed_hosts: frozenset[str]) -> None:
    """Unprocessable unless the operator's allow-list has the engine's host (`host` or `host:port`)."""
    if not leads_to_allowed(spec.base_url, allowed_hosts):
        raise Unprocessable(
            f"base_url {spec.base_url!r}: expected http(s) to a host on the allow-list "
            f"({', '.join(sorted(allowed_hosts))}); the operator adds one with the setting allowed_engine_hosts"
        )
