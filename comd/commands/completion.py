"""Names that the shell completes. In: what is typed so far. Out: what is there; nothing where nobody can be asked."""

import os
from collections.abc import Iterator
from contextlib import suppress

TIMEOUT_S = 1.0  # a key was pressed, and somebody waits


def runs(incomplete: str) -> list[str]:
    return [name for name in _names("/v1/runs") if name.startswith(incomplete)]


def datasets(incomplete: str) -> list[str]:
    return [name for name in _names("/v1/datasets") if name.startswith(incomplete)]


def benchmarks(incomplete: str) -> list[str]:
    return [name for name in _names("/v1/benchmarks") if name.startswith(incomplete)]


def evaluations(incomplete: str) -> list[str]:
    return [name for name in _names("/v1/evaluations") if name.startswith(incomplete)]


def keys(incomplete: str) -> list[str]:
    return [name for name in _names("/v1/keys") if name.startswith(incomplete)]


def _names(path: str) -> Iterator[str]:
    import httpx  # only when completing

    from shared.keys import home

    file = home() / "keys" / "api-key"
    with suppress(httpx.HTTPError, OSError, ValueError, KeyError, TypeError):
        key = os.environ.get("COMD_API_KEY") or file.read_text().strip()  # read, never made by a completion
        url = os.environ.get("COMD_URL") or "http://127.0.0.1:8100"
        headers = {"authorization": f"Bearer {key}"}
        reply = httpx.get(f"{url}{path}", headers=headers, timeout=TIMEOUT_S, trust_env=False)
        yield from dict.fromkeys(row["name"] for row in reply.json()["data"])
