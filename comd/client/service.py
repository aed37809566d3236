"""Which service is talked to and with which key. In: what the user gave, else the environment. Out: a Service."""

import os
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from shared.errors import BadRequest, ConfigError
from shared.keys import known_api_key
from shared.masking import hide

COORDINATOR_URL = "http://127.0.0.1:8100"


@dataclass(frozen=True)
class Service:
    """`name` is what messages call it, `hint` what to do where it cannot be reached."""

    name: str
    url: str
    key: str | None = field(repr=False)
    hint: str

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(f"{self.name}: expected a URL such as {COORDINATOR_URL}, got {self.url!r}")
        if self.key is not None and not (self.key.isascii() and self.key.isprintable()):
            raise ConfigError(
                f"{self.name}: expected a key of printable ASCII characters; `comd key show` prints one"
            )

    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {hide(self.key)}"} if self.key else {}


def coordinator(url: str | None, key: str | None) -> Service:
    """Where nothing is given: at `COMD_URL`, else on this machine; with `COMD_API_KEY`, else this machine's key."""
    return Service(
        "coordinator",
        (url or os.environ.get("COMD_URL") or COORDINATOR_URL).rstrip("/"),
        key or known_api_key(),
        "start it with `comd up`, or set COMD_URL",
    )


def at(*parts: str | int) -> str:
    """The path of these parts below `/v1`; an id or name is one part, whatever stands in it."""
    for part in parts:
        if part in {"", ".", ".."}:
            raise BadRequest(f"expected an id or a name, got {part!r}")
    return "/v1/" + "/".join(quote(str(part), safe="") for part in parts)


def given(**values: Any) -> dict[str, Any]:
    """Those that are not None: of the others the service has its own defaults."""
    return {name: value for name, value in values.items() if value is not None}
