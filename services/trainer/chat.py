"""One training record in OpenAI's chat format, checked. Pure: in a line or its JSON value, out a record or its
faults, each with the field and the reason.
"""

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from shared.errors import Unprocessable
from shared.types import JsonObject

FIELDS = {"id", "messages"}
MESSAGE_FIELDS = {"role", "content"}
NO_TOOLS = "is not taken: the student uses no tools; leave it out"
NOT_TAKEN = {
    "name": "is not taken: the chat template knows roles alone; leave it out",
    **dict.fromkeys(("tools", "tool_calls", "functions", "function_call", "parallel_tool_calls"), NO_TOOLS),
}
PICTURE_URL = re.compile(r"comd-image:[0-9a-f]{64}|data:image/.*", re.DOTALL)
DETAILS = (
    "auto",
    "low",
    "high",
)  # OpenAI's field; the student's own processor decides, so it changes nothing
MOST_TOLD = 60  # characters of a wrong value


class Turn(NamedTuple):
    """`learned` is False where OpenAI's `weight` is 0: the answer is context, and gets no labels."""

    question: str
    answer: str
    learned: bool = True


@dataclass(frozen=True)
class Record:
    """One line: a dialogue about one picture, or about none."""

    id: str
    image: str | None
    system: str | None
    turns: tuple[Turn, ...]
    line: int


@dataclass(frozen=True)
class Fault:
    field: str
    reason: str

    def at(self, where: str) -> str:
        return f"{where}, {self.field}: {self.reason}" if self.field else f"{where}: {self.reason}"


@dataclass(frozen=True)
class Message:
    role: Any
    text: str
    images: list[tuple[str, str]]  # (field, url)
    learned: bool


def parse_line(raw: bytes, line: int) -> Record:
    """A line of a checked file. Unprocessable where it is not in the chat format."""
    faults: list[Fault] = []
    body = decode(raw, faults)
    record = None if faults else read_record(body, line, faults)
    if record is None:
        said = "; ".join(fault.at(f"line {line}") for fault in faults)
        raise Unprocessable(said, code="invalid_training_file", param="training_file")
    return record


def decode(raw: bytes, faults: list[Fault]) -> Any:
    """A JSON value: UTF-8, no lone surrogates, no NaN."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        faults.append(Fault("", f"not JSON: {error}"))
        return None


def read_record(body: Any, line: int, faults: list[Fault]) -> Record | None:
    """The record, or None and what is wrong with it."""
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        faults.append(Fault("messages", "expected an object with a list of messages"))
        return None
    check_fields(body, FIELDS, "", faults)
    identity = body.get("id", f"line-{line}")
    if not isinstance(identity, str):
        faults.append(Fault("id", f"expected a text, got {told(identity)}"))
    read = [_message(value, f"messages[{at}]", faults) for at, value in enumerate(body["messages"])]
    messages = [message for message in read if message is not None]
    if len(messages) == len(read):
        _check_order([message.role for message in messages], faults)
    if faults:
        return None
    return _record(identity, messages, line, faults)


def _record(identity: str, messages: list[Message], line: int, faults: list[Fault]) -> Record | None:
    system = messages[0].text if messages[0].role == "system" else None
    said = messages[system is not None :]
    images = said[0].images[:1]
    for field, _ in (placed for message in messages for placed in message.images if placed not in images):
        faults.append(Fault(field, "one picture at most, in the first user message"))
    pairs = zip(said[::2], said[1::2], strict=True)
    turns = tuple(Turn(question.text, answer.text, answer.learned) for question, answer in pairs)
    if not any(turn.learned for turn in turns):
        faults.append(Fault("messages", "every answer has weight 0, so that nothing would be learned"))
    if faults:
        return None
    return Record(identity, images[0][1] if images else None, system, turns, line)


def check_fields(body: JsonObject, known: set[str], where: str, faults: list[Fault]) -> None:
    """A fault for each field that is not known, in the order of the line."""
    for name in body:
        if name not in known:
            reason = NOT_TAKEN.get(name, f"unknown field; expected {', '.join(sorted(known))}")
            faults.append(Fault(where + str(name)[:MOST_TOLD], reason))


def _check_order(roles: list[Any], faults: list[Fault]) -> None:
    """A system message may come first; then user and assistant in turns, the assistant last."""
    first = 1 if roles[:1] == ["system"] else 0
    for place in range(first, len(roles)):
        expected = ("user", "assistant")[(place - first) % 2]
        if roles[place] != expected:
            said = f"expected {expected}, got {told(roles[place])}; questions and answers take turns"
            faults.append(Fault(f"messages[{place}].role", said))
            return
    if len(roles) == first:
        faults.append(Fault("messages", "expected a user's message and the assistant's answer, got none"))
    elif (len(roles) - first) % 2:
        faults.append(
            Fault(f"messages[{len(roles) - 1}]", "a question without an answer; end with the assistant")
        )


def _message(value: Any, where: str, faults: list[Fault]) -> Message | None:
    if not isinstance(value, dict):
        faults.append(Fault(where, f"expected an object with role and content, got {told(value)}"))
        return None
    role, images = value.get("role"), list[tuple[str, str]]()
    answers = role == "assistant"
    check_fields(value, MESSAGE_FIELDS | ({"weight"} if answers else set()), f"{where}.", faults)
    weight = value.get("weight", 1) if answers else 1
    if type(weight) is not int or weight not in (0, 1):
        faults.append(Fault(f"{where}.weight", f"expected 0 or 1, got {told(weight)}"))
    text = _text(value.get("content"), f"{where}.content", images if role == "user" else None, faults)
    return Message(role, text, images, weight == 1)


def _text(content: Any, where: str, images: list[tuple[str, str]] | None, faults: list[Fault]) -> str:
    """The text parts, a line each; pictures go to `images`, where they may stand."""
    if not isinstance(content, str | list):
        faults.append(Fault(where, f"expected a text or a list of parts, got {told(content)}"))
        return ""
    texts, before = [content] if isinstance(content, str) else list[str](), len(faults)
    for number, part in enumerate(content if isinstance(content, list) else ()):
        field = f"{where}[{number}]"
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("text"), str):
            check_fields(part, {"type", "text"}, f"{field}.", faults)
            texts.append(part["text"])
        elif kind == "image_url" and images is not None:
            _picture(part, field, images, faults)
        else:
            faults.append(Fault(field, f"part of type {told(kind)} is not taken here"))
    text = "\n".join(texts)
    if not text.strip() and len(faults) == before:
        faults.append(Fault(where, "is empty"))
    if "\0" in text:
        faults.append(Fault(where, "holds the character U+0000, at which some tokenizers end a text"))
    return text


def _picture(part: JsonObject, where: str, images: list[tuple[str, str]], faults: list[Fault]) -> None:
    check_fields(part, {"type", "image_url"}, f"{where}.", faults)
    holder = part.get("image_url")
    url = holder.get("url") if isinstance(holder, dict) else holder
    if isinstance(holder, dict):
        check_fields(holder, {"url", "detail"}, f"{where}.image_url.", faults)
        if holder.get("detail", "auto") not in DETAILS:
            faults.append(
                Fault(
                    f"{where}.image_url.detail", f"expected auto, low or high, got {told(holder['detail'])}"
                )
            )
    if not isinstance(url, str) or not PICTURE_URL.fullmatch(url):
        said = f"expected comd-image: with a sha256, or data:image/, got {told(url)}; the trainer fetches nothing"
        faults.append(Fault(f"{where}.image_url", said))
        return
    images.append((f"{where}.image_url", url))


def told(value: Any) -> str:
    """A wrong value as a message shows it: never whole where it is long."""
    shown = repr(value)
    return shown if len(shown) <= MOST_TOLD else f"{shown[:MOST_TOLD]}..."
