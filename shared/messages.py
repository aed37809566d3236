"""Chat messages with pictures: built for a role in prefix-cache order, and made ready to leave for an engine.

An engine may fetch what a part names, so only parts that are known here leave, field by field.
"""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from shared.data_urls import sound_data_url
from shared.errors import BadRequest, ComdError, Forbidden, told
from shared.hosts import leads_to_allowed
from shared.images import ImageStore, reference
from shared.types import IMAGE_SCHEME, JsonObject

TEXT_TYPES = {"text", "refusal"}
PART_TYPES = ("text", "image_url", "refusal")
PICTURE_THREADS = ThreadPoolExecutor(4, thread_name_prefix="pictures")


def system_message(text: str) -> JsonObject:
    return {"role": "system", "content": text}


def user_message(image: str | None, *texts: str) -> JsonObject:
    """A user turn: the picture first, then fixed text, then variable text."""
    parts: list[JsonObject] = [{"type": "text", "text": text} for text in texts]
    if image is not None:
        parts.insert(0, {"type": "image_url", "image_url": {"url": reference(image)}})
    return {"role": "user", "content": parts}


async def messages_for_engine(
    messages: Sequence[Any], store: ImageStore, allowed_hosts: frozenset[str], with_uuid: bool
) -> list[JsonObject]:
    """`resolve_images` without holding up the event loop: what must be read or decoded first is, in a thread."""
    whole = (messages, store, allowed_hosts, with_uuid)
    if all(_is_at_hand(url, store) for url in _urls(messages)):
        return resolve_images(*whole)
    return await asyncio.get_running_loop().run_in_executor(PICTURE_THREADS, resolve_images, *whole)


def resolve_images(
    messages: Sequence[Any], store: ImageStore, allowed_hosts: frozenset[str], with_uuid: bool
) -> list[JsonObject]:
    """The messages with every picture as an engine takes it: `comd-image:` becomes a `data:` URL.

    `with_uuid` adds the sha256 beside the picture, for engines whose processor cache uses it (vLLM).
    Errors name the part: `messages[0].content[1]: ...`.
    """
    leaving = _Leaving(store, allowed_hosts, with_uuid)
    return [leaving.message(message, f"messages[{at}]") for at, message in enumerate(messages)]


@dataclass(frozen=True)
class _Leaving:
    """What may leave, and in which form."""

    store: ImageStore
    allowed_hosts: frozenset[str]
    with_uuid: bool

    def message(self, message: Any, where: str) -> JsonObject:
        if not isinstance(message, dict) or "role" not in message:
            raise BadRequest(f"{where}: expected an object with role and content, got {told(message)}")
        content = message.get("content")
        if content is None or isinstance(content, str):
            return message
        if not isinstance(content, list):
            raise BadRequest(f"{where}.content: expected a text or a list of parts, got {told(content)}")
        parts = [self.part(part, f"{where}.content[{at}]") for at, part in enumerate(content)]
        return {**message, "content": parts}

    def part(self, part: Any, where: str) -> JsonObject:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in PART_TYPES:
            raise BadRequest(f"{where}: expected a part of type {', '.join(PART_TYPES)}, got {told(part)}")
        _refuse_unknown(part, {"type", kind}, where)
        if kind in TEXT_TYPES:
            if not isinstance(part.get(kind), str):
                raise BadRequest(f"{where}.{kind}: expected a text, got {told(part.get(kind))}")
            return dict(part)
        try:
            return self.picture(part.get("image_url"), where)
        except ComdError as error:
            if error.message.startswith(where):
                raise
            raise type(error)(f"{where}: {error.message}", code=error.code) from error

    def picture(self, holder: Any, where: str) -> JsonObject:
        holder = {"url": holder} if isinstance(holder, str) else holder
        if not isinstance(holder, dict) or not isinstance(holder.get("url"), str):
            raise BadRequest(f"{where}.image_url: expected {{'url': '...'}}, got {told(holder)}")
        _refuse_unknown(holder, {"url", "detail"}, f"{where}.image_url")
        url = holder["url"]
        if not url.startswith(IMAGE_SCHEME):
            return {"type": "image_url", "image_url": {**holder, "url": self.outside(url)}}
        sha256 = url.removeprefix(IMAGE_SCHEME)
        sent: JsonObject = {"type": "image_url", "image_url": {**holder, "url": self.store.data_url(sha256)}}
        return {**sent, "uuid": sha256} if self.with_uuid else sent

    def outside(self, url: str) -> str:
        """A URL that somebody outside gave: a sound picture in it, or a host that the operator allowed."""
        if url.startswith("data:"):
            return sound_data_url(url)
        if leads_to_allowed(url, self.allowed_hosts):
            return url
        raise Forbidden(
            f"image url {told(url, 80)}: only data: and comd-image: URLs are taken, "
            "and http(s) from hosts that the operator allowed (setting allowed_image_hosts)"
        )


def _refuse_unknown(given: JsonObject, known: set[str], where: str) -> None:
    """Beside a known field another could name something to fetch (vLLM reads `video_url` in a text part)."""
    if unknown := sorted(str(name) for name in given.keys() - known):
        raise BadRequest(
            f"{where}.{told(unknown[0])[1:-1]}: unknown field; taken are {', '.join(sorted(known))}"
        )


def _urls(messages: Sequence[Any]) -> Iterator[str]:
    """The URLs of all pictures that stand where one can stand; what is malformed is found later."""
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            holder = part.get("image_url") if isinstance(part, dict) else None
            url = holder.get("url") if isinstance(holder, dict) else holder
            if isinstance(url, str):
                yield url


def _is_at_hand(url: str, store: ImageStore) -> bool:
    if url.startswith(IMAGE_SCHEME):
        return store.is_kept(url.removeprefix(IMAGE_SCHEME))
    return not url.startswith("data:")
