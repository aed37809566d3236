"""Records as they are trained on. In: a record. Out: its parts that fit the length limit, messages, labels.

Pure: the chat template comes in as a function.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.trainer.chat import Record, Turn
from shared.types import JsonObject

IGNORED = -100  # what transformers' loss leaves out


@dataclass(frozen=True)
class Part:
    """A run of a record's turns that fits the length limit."""

    record: Record
    number: int
    turns: tuple[Turn, ...]


def image_first(seed: int, image: str, part: int) -> bool:
    """The coin of the paper's formula 2: whether the picture stands before the first question."""
    return hashlib.sha256(f"{seed}|{image}|{part}".encode()).digest()[0] % 2 == 0


def messages(part: Part, seed: int) -> list[JsonObject]:
    """The part as chat templates take it, the picture placed by the coin."""
    made: list[JsonObject] = []
    if part.record.system is not None:
        made.append({"role": "system", "content": [{"type": "text", "text": part.record.system}]})
    for turn in part.turns:
        made.append({"role": "user", "content": [{"type": "text", "text": turn.question}]})
        made.append({"role": "assistant", "content": [{"type": "text", "text": turn.answer}]})
    if part.record.image is not None:
        first = next(message for message in made if message["role"] == "user")
        before = image_first(seed, part.record.image, part.number)
        first["content"].insert(0 if before else 1, {"type": "image"})
    return made


def split(record: Record, length: Callable[[Part], int], limit: int) -> tuple[list[Part], int]:
    """Parts of at most `limit` tokens, never cut inside a turn; and how many turns fit into none.

    A part whose answers all have weight 0 would teach nothing, and is no part.
    """
    whole = Part(record, 0, record.turns)
    if length(whole) <= limit:
        return [whole], 0
    parts: list[Part] = []
    current: tuple[Turn, ...] = ()
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
    return [part for part in parts if any(turn.learned for turn in part.turns)], left_out


def labels(input_ids: Sequence[int], answers: Sequence[tuple[int, int]]) -> list[int]:
    """The ids where an answer or its stop token stands, else IGNORED."""
    made = [IGNORED] * len(input_ids)
    for start, end in answers:
        made[start:end] = input_ids[start:end]
    return made
