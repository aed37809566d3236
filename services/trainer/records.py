"""Training lines. In: a line of JSON. Out: a record, its parts that fit the length limit, and labels.

Pure: the chat template comes in as a function. Errors name the line, the field and the reason.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from shared.errors import Unprocessable
from shared.types import JsonObject

IGNORED = -100  # what transformers' loss leaves out


@dataclass(frozen=True)
class Record:
    """One line: a dialogue about one picture, or about none."""

    id: str
    image: str | None
    system: str | None
    turns: tuple[tuple[str, str], ...]  # (question, answer)
    line: int


@dataclass(frozen=True)
class Part:
    """A run of a record's turns that fits the length limit."""

    record: Record
    number: int
    turns: tuple[tuple[str, str], ...]


def parse_line(raw: bytes, line: int) -> Record:
    """A line in OpenAI's chat format. Unprocessable where it is not."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _refusal(line, "", f"not JSON: {error}") from error
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        raise _refusal(line, "messages", "expected an object with a list of messages")
    if unknown := set(body) - {"id", "messages"}:
        raise _refusal(line, sorted(unknown)[0], "unknown field; expected id and messages")
    messages = list(body["messages"])
    system = None
    if messages and isinstance(messages[0], dict) and messages[0].get("role") == "system":
        system = _text(messages.pop(0), line, "messages[0]")
    if not messages or len(messages) % 2:
        raise _refusal(line, "messages", "expected turns of user and assistant, ending with the assistant")
    images: list[str] = []
    turns = [_turn(messages[at : at + 2], line, at, images) for at in range(0, len(messages), 2)]
    identity = body.get("id", f"line-{line}")
    if not isinstance(identity, str):
        raise _refusal(line, "id", f"expected a text, got {identity!r}")
    return Record(identity, images[0] if images else None, system, tuple(turns), line)


def _turn(pair: Sequence[Any], line: int, at: int, images: list[str]) -> tuple[str, str]:
    for place, (message, role) in enumerate(zip(pair, ("user", "assistant"), strict=True)):
        if not isinstance(message, dict) or message.get("role") != role:
            raise _refusal(line, f"messages[{at + place}].role", f"expected {role}")
    found: list[str] = []
    question = _text(pair[0], line, f"messages[{at}]", found)
    if found and (at or len(found) > 1):
        raise _refusal(line, f"messages[{at}].content", "one picture at most, in the first user message")
    images += found
    return question, _text(pair[1], line, f"messages[{at + 1}]")


def _text(message: JsonObject, line: int, where: str, images: list[str] | None = None) -> str:
    content = message.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, list):
        raise _refusal(line, f"{where}.content", "expected a text or a list of parts")
    texts = []
    for number, part in enumerate(parts):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind == "image_url" and images is not None:
            images.append(_url(part, line, f"{where}.content[{number}]"))
        else:
            raise _refusal(line, f"{where}.content[{number}]", f"part of type {kind!r} is not taken here")
    text = "\n".join(texts)
    if not text.strip():
        raise _refusal(line, f"{where}.content", "is empty")
    return text


def _url(part: JsonObject, line: int, where: str) -> str:
    holder = part.get("image_url")
    url = holder.get("url") if isinstance(holder, dict) else holder
    if not isinstance(url, str) or not url.startswith(("comd-image:", "data:image/")):
        raise _refusal(line, f"{where}.image_url", f"expected comd-image: or data:, got {str(url)[:40]!r}")
    return url


def image_first(seed: int, image: str, part: int) -> bool:
    """The coin of the paper's formula 2: whether the picture stands before the first question."""
    return hashlib.sha256(f"{seed}|{image}|{part}".encode()).digest()[0] % 2 == 0


def messages(part: Part, seed: int) -> list[JsonObject]:
    """The part as chat templates take it, the picture placed by the coin."""
    made: list[JsonObject] = []
    if part.record.system is not None:
        made.append({"role": "system", "content": [{"type": "text", "text": part.record.system}]})
    for question, answer in part.turns:
        made.append({"role": "user", "content": [{"type": "text", "text": question}]})
        made.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    if part.record.image is not None:
        first = next(message for message in made if message["role"] == "user")
        before = image_first(seed, part.record.image, part.number)
        first["content"].insert(0 if before else 1, {"type": "image"})
    return made


def split(record: Record, length: Callable[[Part], int], limit: int) -> tuple[list[Part], int]:
    """Parts of at most `limit` tokens, never cut inside a turn; and how many turns fit into none."""
    whole = Part(record, 0, record.turns)
    if length(whole) <= limit:
        return [whole], 0
    parts: list[Part] = []
    current: tuple[tuple[str, str], ...] = ()
    left_out = 0
    for turn in record.turns:
        if current and length(Part(record, len(parts), (*current, turn))) <= limit:
            current = (*current, turn)
            continue
        if current:
            parts.append(Part(record, len(parts), current))
        current = (turn,)
        if length(Part(record, len(parts), current)) > limit:
            current, left_out = (), left_out + 1
    if current:
        parts.append(Part(record, len(parts), current))
    return parts, left_out


def labels(input_ids: Sequence[int], answers: Sequence[tuple[int, int]]) -> list[int]:
    """The ids where an answer or its stop token stands, else IGNORED."""
    made = [IGNORED] * len(input_ids)
    for start, end in answers:
        made[start:end] = input_ids[start:end]
    return made


def _refusal(line: int, field: str, reason: str) -> Unprocessable:
    where = f"line {line}" + (f", {field}" if field else "")
    return Unprocessable(f"{where}: {reason}", code="invalid_training_file")
