"""One training record in OpenAI's chat format, checked. Pure: in a line or its JSON value, out a record or its
faults, each with the field and the reason.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from services.trainer.message import Fault, Message, check_fields, read_message
from shared.errors import Unprocessable, told

FIELDS = {"id", "messages", "provenance"}  # where an exported line comes from is passed over


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
    read = [read_message(value, f"messages[{at}]", faults) for at, value in enumerate(body["messages"])]
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
