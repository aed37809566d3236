"""One message of a training record, checked. Pure: in a JSON value, out its text and pictures; faults go to a list,
each with the field and the reason.
"""

import re
from dataclasses import dataclass
from typing import Any

from shared.errors import told
from shared.types import JsonObject

MESSAGE_FIELDS = {"role", "content"}
NO_TOOLS = "is not taken: the student uses no tools; leave it out"
NOT_TAKEN = {
    "name": "is not taken: the chat template knows roles alone; leave it out",
    **dict.fromkeys(("tools", "tool_calls", "functions", "function_call", "parallel_tool_calls"), NO_TOOLS),
}
PICTURE_URL = re.compile(r"comd-image:[0-9a-f]{64}|data:image/.*", re.DOTALL)
DETAILS = ("auto", "low", "high")  # taken and without effect: the student's own processor decides
MOST_TOLD = 60  # characters of an unknown field


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


def check_fields(body: JsonObject, known: set[str], where: str, faults: list[Fault]) -> None:
    """A fault for each field that is not known, in the order of the line."""
    for name in body:
        if name not in known:
            reason = NOT_TAKEN.get(name, f"unknown field; expected {', '.join(sorted(known))}")
            faults.append(Fault(where + str(name)[:MOST_TOLD], reason))


def read_message(value: Any, where: str, faults: list[Fault]) -> Message | None:
    """The message at `where`; None where it is not even an object. Its order among others is not looked at."""
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
            said = f"expected auto, low or high, got {told(holder['detail'])}"
            faults.append(Fault(f"{where}.image_url.detail", said))
    if not isinstance(url, str) or not PICTURE_URL.fullmatch(url):
        said = f"expected comd-image: with a sha256, or data:image/, got {told(url)}; the trainer fetches nothing"
        faults.append(Fault(f"{where}.image_url", said))
        return
    images.append((f"{where}.image_url", url))
