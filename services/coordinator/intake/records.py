"""One LLaVA-style record, checked. Pure: in a decoded JSON value, out its human turns, or a Refusal.

A multi-turn dialogue becomes single-turn instructions; the `<image>` marker is removed (algorithm, step 1).
"""

from dataclasses import dataclass
from typing import Any, Literal

Purpose = Literal["instruct", "pretrain", "evaluation"]

MARKER = "<image>"
TASK_TYPES = {
    "conv": "conversation",
    "detail_description": "detail",
    "complex": "reasoning",
    "complex_reasoning": "reasoning",
}
DEFAULT_TASK_TYPE = "conversation"
TYPE_KEYS = ("type", "task_type", "category")


class Refusal(Exception):
    """Why a record is not taken."""


@dataclass(frozen=True)
class Turn:
    number: int
    text: str
    reference: str | None


@dataclass(frozen=True)
class Record:
    id: str
    image: str | None  # the picture's file name
    task_type: str
    turns: list[Turn]


def read_record(value: Any, purpose: Purpose) -> Record:
    """The record. Answers are needed, and kept, for pre-training and evaluation only."""
    if not isinstance(value, dict):
        raise Refusal(f"expected an object with id, image and conversations, got {type(value).__name__}")
    identity = value.get("id")
    if not isinstance(identity, str | int) or isinstance(identity, bool) or str(identity).strip() == "":
        raise Refusal(f"id: expected a name or number, got {identity!r}")
    image = value.get("image")
    if image is not None and (not isinstance(image, str) or not image.strip()):
        raise Refusal(f"image: expected a file name, got {image!r}")
    if image is None and purpose == "pretrain":
        raise Refusal("image: a caption needs its picture")
    return Record(str(identity), image, _task_type(value), _turns(value.get("conversations"), purpose))


def _task_type(value: dict[str, Any]) -> str:
    given = next((value[key] for key in TYPE_KEYS if isinstance(value.get(key), str) and value[key]), None)
    return TASK_TYPES.get(given, given) if given else DEFAULT_TASK_TYPE


def _turns(conversations: Any, purpose: Purpose) -> list[Turn]:
    if not isinstance(conversations, list) or not conversations:
        raise Refusal("conversations: expected a list of turns that is not empty")
    turns: list[Turn] = []
    for place in range(0, len(conversations), 2):
        question = _said(conversations, place, "human").replace(MARKER, " ").strip()
        if not question:
            raise Refusal(f"conversations[{place}]: the question is empty")
        answer = None
        if place + 1 < len(conversations):
            answer = _said(conversations, place + 1, "gpt").strip()
        if purpose != "instruct" and not answer:
            raise Refusal(f"conversations[{place + 1}]: expected an answer to keep as the reference")
        turns.append(Turn(place // 2, question, None if purpose == "instruct" else answer))
    return turns


def _said(conversations: list[Any], place: int, speaker: str) -> str:
    turn = conversations[place]
    if not isinstance(turn, dict) or turn.get("from") != speaker or not isinstance(turn.get("value"), str):
        raise Refusal(
            f"conversations[{place}]: expected {{'from': '{speaker}', 'value': '...'}}, got {str(turn)[:80]}"
        )
    return str(turn["value"])
