"""Bearer keys: one for clients, one for calls between our own services; read, or made at the first start.

A made key lies in a file that only the user can read, under `COMD_HOME`.
"""

import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from shared.environment import told
from shared.errors import ConfigError
from shared.masking import hide
from shared.scopes import Caller

OPERATOR = Caller("api", "admin")  # whoever has the key of this machine
INTERNAL = Caller("internal", "admin", internal=True)


@dataclass(frozen=True)
class Keys:
    api: str
    internal: str

    async def caller(self, given: str) -> Caller | None:
        """Whose key it is, where it is one of these two; constant time in the keys' values."""
        is_api = hmac.compare_digest(given.encode(), self.api.encode())
        if hmac.compare_digest(given.encode(), self.internal.encode()):
            return INTERNAL
        return OPERATOR if is_api else None

    def __repr__(self) -> str:
        return "Keys(...)"  # never into a log


def home() -> Path:
    """Where this machine's keys and data are kept: `COMD_HOME`, else `var` in the working folder."""
    return Path(os.environ.get("COMD_HOME") or "var").absolute()


def load_keys(folder: Path | None = None) -> Keys:
    """The keys from `COMD_API_KEY` and `COMD_INTERNAL_KEY`, else from files in `folder`, made where missing."""
    folder = folder or home() / "keys"
    return Keys(
        api=hide(told("COMD_API_KEY") or _from_file(folder / "api-key", "comd-")),
        internal=hide(told("COMD_INTERNAL_KEY") or _from_file(folder / "internal-key", "comd-internal-")),
    )


def known_api_key() -> str | None:
    """The key that opens services, for a client: `COMD_API_KEY`, else this machine's; None where none was made yet."""
    file = home() / "keys" / "api-key"
    key = told("COMD_API_KEY") or (file.read_text().strip() if file.exists() else None)
    return None if key is None else hide(key)


def engine_key(key_name: str | None) -> str | None:
    """An engine's bearer key, from the environment variable of that name; None where that is set, but empty."""
    if key_name is None:
        return None
    value = told(key_name)
    if value is None:
        raise ConfigError(f"the engine's key is to come from {key_name}, which is not set in the environment")
    return hide(value) or None


def _from_file(path: Path, prefix: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    draft.touch(mode=0o600)
    draft.write_text(prefix + secrets.token_urlsafe(32))
    try:
        os.link(draft, path)  # appears whole or not at all, and the first of several starters wins
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text().strip()
