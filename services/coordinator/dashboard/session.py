"""A browser's session as a signed token: whose it is and until when. Pure.

In: the internal key, a caller's name, a time. Out: a token for a cookie, and what a token says. It does not hold
the key that opened it, only a mark that the key can be compared with, so a key that is revoked or changed ends it.
"""

import base64
import binascii
import hmac
import json
import secrets
from dataclasses import dataclass
from hashlib import sha256

LASTS_S = 12 * 3600
LONGEST = 1000  # characters of a token; ours have about 200


@dataclass(frozen=True)
class Session:
    """What a token says, once its signature and its end are right."""

    name: str
    key_mark: str
    ends_at: int
    csrf_token: str


def signing_secret(internal_key: str) -> bytes:
    """The same for all coordinators of an installation; the internal key cannot be told from it."""
    return _sign(internal_key.encode(), "the sessions of the dashboard").encode()


def issue(secret: bytes, name: str, key_sha256: str, now: float) -> str:
    """A token for the caller of this name, who has shown the key with this hash."""
    said = {
        "name": name,
        "key": _key_mark(secret, key_sha256),
        "ends_at": int(now) + LASTS_S,
        "nonce": secrets.token_hex(8),
    }
    body = base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")  # cookies quote it
    return f"{body}.{_sign(secret, body)}"


def read(secret: bytes, token: str, now: float) -> Session | None:
    """The session, or None where the token is not ours, was changed, or has ended."""
    body, dot, signature = token.rpartition(".")
    if (
        not dot
        or len(token) > LONGEST
        or not hmac.compare_digest(signature.encode(), _sign(secret, body).encode())
    ):
        return None
    try:
        said = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (binascii.Error, ValueError):
        return None
    if said["ends_at"] <= now:
        return None
    return Session(said["name"], said["key"], said["ends_at"], _sign(secret, f"csrf of {token}"))


def is_of_key(secret: bytes, session: Session, key_sha256: str) -> bool:
    """Whether the session was opened with the key that has this hash."""
    return hmac.compare_digest(session.key_mark, _key_mark(secret, key_sha256))


def is_right_csrf_token(session: Session, given: str) -> bool:
    return hmac.compare_digest(session.csrf_token.encode(), given.encode())


def _key_mark(secret: bytes, key_sha256: str) -> str:
    return _sign(secret, f"key {key_sha256}")


def _sign(secret: bytes, text: str) -> str:
    return hmac.new(secret, text.encode(), sha256).hexdigest()
