"""The session of a chat request: in its messages, out the name of its first picture, or None."""

from typing import Any


def session_of(messages: list[Any]) -> str | None:
    """The sha256 that stands as `uuid` beside the first picture."""
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            uuid = part.get("uuid") if isinstance(part, dict) else None
            if isinstance(uuid, str) and uuid.isalnum() and uuid.isascii():
                return uuid
    return None
