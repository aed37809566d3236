"""LLaVA's training records. Pure: in a decoded record, out the same dialogue in OpenAI's chat format.

Messages stand where the turns stood, so that a fault found in one is told by the name of the other.
"""

import re
from typing import Any

from services.trainer.message import Fault, check_fields
from shared.errors import told
from shared.types import IMAGE_SCHEME, JsonObject

MARKER = "<image>"
FIELDS = {"id", "image", "conversations"}
LABELS = {
    "type",
    "task_type",
    "category",
    "model",
    "provenance",
}  # what data sets say beside: nothing is trained on it
ROLES = {"human": "user", "gpt": "assistant", "system": "system"}
SPEAKERS = {role: speaker for speaker, role in ROLES.items()}
SHA256 = re.compile(r"[0-9a-f]{64}")
IMPORT_FIRST = (
    "a file name; the trainer opens no paths. Import the pictures first (`comd data import`), then name each by "
    "its sha256, or send it as a data: URL"
)


def is_llava(body: Any) -> bool:
    return isinstance(body, dict) and "conversations" in body and "messages" not in body


def to_chat(body: JsonObject, faults: list[Fault]) -> JsonObject | None:
    """The record as a chat line; None where its turns cannot be read. Faults carry LLaVA's field names."""
    check_fields(body, FIELDS | LABELS, "", faults)
    turns = body["conversations"]
    if not isinstance(turns, list):
        faults.append(Fault("conversations", f"expected a list of turns, got {told(turns)}"))
        return None
    before = len(faults)
    messages = [_message(turn, f"conversations[{at}]", faults) for at, turn in enumerate(turns)]
    if len(faults) > before:
        return None
    url = _picture(body.get("image"), faults)
    _place(messages, url, faults)
    identity = body.get("id")
    chat = {"messages": messages}
    if identity is None:
        return chat
    return {"id": str(identity) if type(identity) is int else identity, **chat}


def renamed(fault: Fault) -> Fault:
    """A fault of the chat line by the field of the LLaVA record."""
    if fault.field.endswith(".image_url"):
        return Fault("image", fault.reason)
    field = re.sub(r"\.content(\[\d+\])?", ".value", fault.field)
    field = field.replace(".role", ".from").replace("messages", "conversations")
    reason = re.sub(r"\b(user|assistant)\b", lambda found: SPEAKERS[found[0]], fault.reason)
    return Fault(field, reason)


def _message(turn: Any, where: str, faults: list[Fault]) -> JsonObject:
    if not isinstance(turn, dict):
        faults.append(Fault(where, f"expected an object with from and value, got {told(turn)}"))
        return {}
    check_fields(turn, {"from", "value"}, f"{where}.", faults)
    speaker, value = turn.get("from"), turn.get("value")
    if not isinstance(speaker, str) or speaker not in ROLES:
        faults.append(Fault(f"{where}.from", f"expected human, gpt or system, got {told(speaker)}"))
        return {}
    if not isinstance(value, str):
        faults.append(Fault(f"{where}.value", f"expected a text, got {told(value)}"))
        return {}
    return {"role": ROLES[speaker], "content": value}


def _picture(image: Any, faults: list[Fault]) -> str | None:
    if image is None:
        return None
    if isinstance(image, str) and image.startswith((IMAGE_SCHEME, "data:")):
        return image
    if isinstance(image, str) and SHA256.fullmatch(image):
        return IMAGE_SCHEME + image
    said = IMPORT_FIRST if isinstance(image, str) else "not one picture's name"
    faults.append(Fault("image", f"{told(image)} is {said}"))
    return None


def _place(messages: list[JsonObject], url: str | None, faults: list[Fault]) -> None:
    """Take the marker out of the questions and put the picture into the first; the coin places it later."""
    asked = [(at, message) for at, message in enumerate(messages) if message["role"] == "user"]
    unnamed = url is None and not any(fault.field == "image" for fault in faults)
    for at, message in asked:
        field, count = f"conversations[{at}].value", message["content"].count(MARKER)
        if count and unnamed:
            faults.append(Fault(field, f"holds {MARKER}, but the record names no image"))
        elif count > (message is asked[0][1]):
            faults.append(
                Fault(field, f"holds {MARKER} {count} times; once at most, and in the first question")
            )
        if count:
            message["content"] = message["content"].replace(MARKER, "").strip()
    if asked and url is not None:
        text = {"type": "text", "text": asked[0][1]["content"]}
        asked[0][1]["content"] = [{"type": "image_url", "image_url": {"url": url}}, text]
