"""A dialogue as token ids, by the model's own chat template. In: OpenAI messages and prepared pictures.
Out: ids, and which of them are answers. Training and serving both use this, so their ids are equal.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from transformers.utils.chat_template_utils import render_jinja_template

from comd.engine.pictures import Picture
from shared.errors import BadRequest
from shared.types import JsonObject

ROLES = {"system", "user", "assistant"}


@dataclass(frozen=True)
class Rendered:
    """`answers` are half-open token spans, one for each assistant turn, its stop token included."""

    input_ids: list[int]
    answers: list[tuple[int, int]]


@dataclass(frozen=True)
class Parsed:
    """Messages as chat templates take them, and the pictures' URLs in their order."""

    messages: list[JsonObject]
    image_urls: list[str]


def parse(messages: Any) -> Parsed:
    """Check OpenAI messages. BadRequest names the message and field."""
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages: expected a list that is not empty")
    urls: list[str] = []
    return Parsed([_message(message, f"messages[{at}]", urls) for at, message in enumerate(messages)], urls)


def _message(message: Any, where: str, urls: list[str]) -> JsonObject:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in ROLES:
        raise BadRequest(f"{where}.role: expected system, user or assistant, got {str(role)[:40]!r}")
    content = message.get("content")
    if isinstance(content, str):
        return {"role": role, "content": [{"type": "text", "text": content}]}
    if not isinstance(content, list) or not content:
        raise BadRequest(f"{where}.content: expected a text or a list of parts, got {str(content)[:40]!r}")
    parts = [_part(part, f"{where}.content[{at}]", urls) for at, part in enumerate(content)]
    if role != "user" and any(part["type"] == "image" for part in parts):
        raise BadRequest(f"{where}.content: a picture may stand only in a user's message")
    return {"role": role, "content": parts}


def _part(part: Any, where: str, urls: list[str]) -> JsonObject:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if kind == "image_url":
        holder = part.get("image_url")
        url = holder.get("url") if isinstance(holder, dict) else holder
        if isinstance(url, str):
            urls.append(url)
            return {"type": "image"}
    raise BadRequest(f"{where}: expected a part of type text or image_url, got {str(part)[:60]!r}")


class Renderer:
    """The chat template and tokenizer of one processor."""

    def __init__(self, processor: Any):
        self.processor, self.tokenizer = processor, processor.tokenizer
        self.template = processor.chat_template or self.tokenizer.chat_template
        self.image_token: str = processor.image_token
        self.stop_token: str = self.tokenizer.eos_token
        self._variables = dict(self.tokenizer.special_tokens_map)
        specials = [token for token in self.tokenizer.all_special_tokens if len(token) > 1]
        # Short answers come again and again.
        self._decoded = lru_cache(maxsize=16384)(self._decode)
        self.expected_answer_text = lru_cache(maxsize=16384)(self._expected_answer_text)
        self._special = re.compile("|".join(re.escape(token) for token in specials) or r"(?!)")

    def plain(self, text: str) -> str:
        """`text` without control tokens: one that a person or a model wrote is broken by a space."""
        return self._special.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)

    def prompt(self, messages: Sequence[JsonObject], pictures: Sequence[Picture]) -> list[int]:
        """Token ids up to where the assistant's next answer begins."""
        texts, _ = self._rendered(messages, add_generation_prompt=True)
        text, _ = self._expanded(texts, pictures)
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def dialogue(self, messages: Sequence[JsonObject], pictures: Sequence[Picture]) -> Rendered:
        """Token ids of a finished dialogue, with the spans that the template marks as generated."""
        texts, marked = self._rendered(messages, return_assistant_tokens_mask=True)
        text, moved = self._expanded(texts, pictures)
        made = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        spans = [(moved(start), moved(end)) for start, end in marked[0]]
        return Rendered(list(made["input_ids"]), _token_spans(made["offset_mapping"], spans))

    def answer_text(self, ids: Sequence[int]) -> str:
        """An answer's tokens as text, the stop token included, so that two of them can be compared."""
        return self._decoded(tuple(ids))

    def _expected_answer_text(self, answer: str) -> str:
        """What `answer_text` must give for this answer."""
        whole = self.plain(answer) + self.stop_token
        return self._decoded(tuple(self.tokenizer(whole, add_special_tokens=False)["input_ids"]))

    def _decode(self, ids: tuple[int, ...]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False)).strip()

    def _rendered(self, messages: Sequence[JsonObject], **options: Any) -> tuple[str, Any]:
        cleaned = [{"role": m["role"], "content": [self._clean(p) for p in m["content"]]} for m in messages]
        texts, marked = render_jinja_template(
            [cleaned], chat_template=self.template, **options, **self._variables
        )
        return texts[0], marked

    def _clean(self, part: JsonObject) -> JsonObject:
        return {**part, "text": self.plain(part["text"])} if part["type"] == "text" else part

    def _expanded(self, text: str, pictures: Sequence[Picture]) -> tuple[str, Callable[[int], int]]:
        """The text with each image token replaced, and how positions in it have moved."""
        pieces = text.split(self.image_token)
        if len(pieces) != len(pictures) + 1:
            raise BadRequest(
                f"{len(pictures)} pictures, but {len(pieces) - 1} places for them in the chat template's text"
            )
        at, ends, grown = 0, [], []
        for piece, picture in zip(pieces, pictures, strict=False):
            at += len(piece) + len(self.image_token)
            ends.append(at)
            grown.append(len(picture.placeholder) - len(self.image_token))
        whole = pieces[0] + "".join(
            picture.placeholder + piece for picture, piece in zip(pictures, pieces[1:], strict=True)
        )
        return whole, lambda place: place + sum(g for end, g in zip(ends, grown, strict=True) if end <= place)


def _token_spans(
    offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Character spans as token spans: the tokens that lie wholly inside. Both come in order."""
    found, at = [], 0
    for start, end in spans:
        while at < len(offsets) and offsets[at][0] < start:
            at += 1
        first = at
        while at < len(offsets) and offsets[at][1] <= end:
            at += 1
        found.append((first, at))
    return found
