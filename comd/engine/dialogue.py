"""A dialogue as token ids, by the model's own chat template. In: OpenAI messages and prepared pictures.
Out: ids, and which of them are answers. Training and serving both use this, so their ids are equal.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

from transformers.utils.chat_template_utils import render_jinja_template

from comd.engine.pictures import Picture
from comd.engine.spans import Span, answer_spans, token_spans
from shared.errors import BadRequest
from shared.types import JsonObject

Ending = Literal["asking", "open", "closed"]  # how a prompt ends; see Renderer.prompt
ROLES = {"system", "user", "assistant"}
BLOCK = re.compile(r"\{%-?\s*generation\b")


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

    def __init__(self, processor: Any, stop_ids: Iterable[int] = ()):
        """`stop_ids` end an answer beside the tokenizer's own: those of the model's generation config."""
        self.processor, self.tokenizer = processor, processor.tokenizer
        template = processor.chat_template or self.tokenizer.chat_template
        self.template: str = template["default"] if isinstance(template, dict) else template
        self.image_token: str = processor.image_token
        known = [self.tokenizer.eos_token_id, *sorted(stop_ids)]
        self.stop_ids: list[int] = list(dict.fromkeys(stop for stop in known if stop is not None))
        self.stops: list[str] = self.tokenizer.convert_ids_to_tokens(self.stop_ids)
        self._variables = dict(self.tokenizer.special_tokens_map)
        # Short answers come again and again.
        self._decoded = lru_cache(maxsize=16384)(self._decode)
        self.expected_answer_text = lru_cache(maxsize=16384)(self._expected_answer_text)
        self._special = re.compile("|".join(map(re.escape, self._control_tokens())) or r"(?!)")

    @cached_property
    def stop_token(self) -> str:
        """The stop token that the template writes behind an answer."""
        said = [{"role": role, "content": [{"type": "text", "text": "a"}]} for role in ("user", "assistant")]
        text, _ = self._rendered(said)
        return max(self.stops, key=text.rfind)

    def _control_tokens(self) -> list[str]:
        added = [token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        tokens = {*self.tokenizer.all_special_tokens, *added, *self.stops, self.image_token}
        return sorted((token for token in tokens if len(token) > 1), key=len, reverse=True)

    def plain(self, text: str) -> str:
        """`text` without control tokens: one that a person or a model wrote is broken by a space."""
        return self._special.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)

    def prompt(
        self, messages: Sequence[JsonObject], pictures: Sequence[Picture], ending: Ending = "asking"
    ) -> list[int]:
        """Token ids up to where the assistant's next answer begins.

        "open": up to the end of the last message's text, which goes on, so without what the template writes behind
        it. "closed": as the template ends a dialogue. BadRequest where it shows a message otherwise than it is.
        """
        try:
            text, _ = self._rendered(
                messages, add_generation_prompt=ending == "asking", continue_final_message=ending == "open"
            )
        except ValueError as error:
            raise BadRequest(f"continue_final_message: {error}") from error
        text, _ = self._expanded(text, pictures)
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def dialogue(self, messages: Sequence[JsonObject], pictures: Sequence[Picture]) -> Rendered:
        """Token ids of a finished dialogue, with the spans of its answers."""
        text, marked = self._marked(messages)
        text, moved = self._expanded(text, pictures)
        made = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        spans = [(moved(start), moved(end)) for start, end in marked]
        return Rendered(list(made["input_ids"]), token_spans(made["offset_mapping"], spans))

    def _marked(self, messages: Sequence[JsonObject]) -> tuple[str, list[Span]]:
        """The text and its answers: by the template's own generation block, or by prompts as prefixes."""
        if BLOCK.search(self.template):
            text, marked = self._rendered(messages, return_assistant_tokens_mask=True)
            return text, marked[0]

        def render(some: Sequence[JsonObject], with_prompt: bool) -> str:
            return self._rendered(some, add_generation_prompt=with_prompt)[0]

        try:
            return render(messages, False), answer_spans(messages, render, self.stops)
        except BadRequest as error:
            raise BadRequest(
                f"the chat template of {self.tokenizer.name_or_path or 'the student'} {error.message}; put "
                "answer and stop token into a {% generation %} block there, so that they can be told apart"
            ) from error

    def answer_text(self, ids: Sequence[int]) -> str:
        """An answer's tokens as text, the stop token included, so that two of them can be compared."""
        return self._decoded(tuple(ids))

    def _expected_answer_text(self, answer: str) -> str:
        """What `answer_text` must give for this answer."""
        whole = self.plain(answer).strip() + self.stop_token
        return self._decoded(tuple(self.tokenizer(whole, add_special_tokens=False)["input_ids"]))

    def _decode(self, ids: tuple[int, ...]) -> str:
        """Blanks around an answer are the template's to write or to trim."""
        text = str(self.tokenizer.decode(list(ids), skip_special_tokens=False)).strip()
        said = text.removesuffix(self.stop_token)
        return said.strip() + text[len(said) :]

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
