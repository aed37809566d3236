"""`python -m comd.compose.secrets FOLDER`: the secrets of a stack of containers, made where they are missing.

In: a folder; under it `keys`, `postgres`, `redis` and `grafana`, a volume each. Out: files that only their users'
containers mount. What is there is left as it is, so that the next start finds the same database.
"""

import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from shared.keys import load_keys

READABLE = 0o440  # by this user and group, to which every container that needs one belongs
DATABASE, REDIS = "postgres:5432", "redis:6379"


def make_secrets(folder: Path) -> None:
    """Keys of REST and of our services, passwords of Postgres, Redis and Grafana, and the URLs that hold them."""
    load_keys(folder / "keys")
    for path in (folder / "keys").iterdir():
        path.chmod(READABLE)
    password = _once(folder / "postgres" / "password", _password)
    _once(folder / "postgres" / "url", lambda: f"postgresql://comd:{password}@{DATABASE}/comd")
    password = _once(folder / "redis" / "password", _password)
    _once(folder / "redis" / "url", lambda: f"redis://:{password}@{REDIS}/0")
    # a transport only: nothing of it is kept on a disk
    _once(folder / "redis" / "redis.conf", lambda: f'requirepass {password}\nsave ""\nappendonly no\n')
    _once(folder / "grafana" / "password", _password)


def _password() -> str:
    return secrets.token_urlsafe(32)


def _once(path: Path, make: Callable[[], str]) -> str:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(make())
        draft.chmod(READABLE)
        draft.rename(path)
    return path.read_text()


if __name__ == "__main__":
    make_secrets(Path(sys.argv[1]))
    print("The stack's secrets are in place.")
