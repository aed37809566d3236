"""Chat messages with pictures: built for a role in prefix-cache order, and made ready to leave for an engine."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from shared.errors import BadRequest, Forbidden, TooLarge
from shared.images import MAX_BYTES, ImageStore, reference
from shared.types import IMAGE_SCHEME, JsonObject


def system_message(text: str) -> JsonObject:
    return {"role": "system", "content": text}


def user_message(image: str | None, *texts: str) -> JsonObject:
    """A user turn: the picture first, then fixed text, then variable text."""
    parts: list[JsonObject] = [{"type": "text", "text": text} for text in texts]
    if image is not None:
        parts.insert(0, {"type": "image_url", "image_url": {"url": reference(image)}})
    return {"role": "user", "content": parts}


def resolve_images(
    messages: Sequence[Any], store: ImageStore, allowed_hosts: frozenset[str], with_uuid: bool
) -> list[JsonObject]:
    """The messages with every picture as an engine takes it: `comd-image:` becomes a `data:` URL.

    `with_uuid` adds the sha256 beside the picture, for engines whose processor cache uses it (vLLM).
    """
    return [_resolved(message, store, allowed_hosts, with_uuid) for message in messages]


def _resolved(message: Any, store: ImageStore, allowed_hosts: frozenset[str], with_uuid: bool) -> JsonObject:
    if not isinstance(message, dict) or "role" not in message:
        raise BadRequest(f"messages: expected objects with role and content, got {str(message)[:100]}")
    content = message.get("content")
    if not isinstance(content, list):
        return message
    parts = [
        _resolved_picture(part, store, allowed_hosts, with_uuid)
        if isinstance(part, dict) and part.get("type") == "image_url"
        else part
        for part in content
    ]
    return {**message, "content": parts}


def _resolved_picture(
    part: JsonObject, store: ImageStore, allowed_hosts: frozenset[str], with_uuid: bool
) -> JsonObject:
    url = _url(part)
    if url.startswith(IMAGE_SCHEME):
        sha256 = url.removeprefix(IMAGE_SCHEME)
        sent: JsonObject = {"type": "image_url", "image_url": {"url": store.data_url(sha256)}}
        return {**sent, "uuid": sha256} if with_uuid else sent
    if url.startswith("data:"):
        if len(url) > MAX_BYTES * 4 // 3 + 100:
            raise TooLarge(f"a picture in a data: URL may have {MAX_BYTES} bytes at most")
        return part
    if urlsplit(url).scheme in {"http", "https"} and urlsplit(url).hostname in allowed_hosts:
        return part
    raise Forbidden(
        f"image url {url[:80]!r}: only data: and comd-image: URLs are taken, "
        "and http(s) from hosts that the operator allowed (setting allowed_image_hosts)"
    )


def _url(part: JsonObject) -> str:
    holder = part.get("image_url")
    url = holder.get("url") if isinstance(holder, dict) else holder
    if not isinstance(url, str):
        raise BadRequest(f"image_url: expected {{'url': '...'}}, got {str(holder)[:100]}")
    return url
