"""What a caption is. In: a decoded record, in LLaVA's form or flat. Out: the caption, or why it is none. Pure."""

import hashlib
import re
from typing import Any, NamedTuple

TEXT_FIELDS = ("caption", "text")
IMAGE_FIELDS = ("image", "url")  # published sets name their pictures by URL
MAX_CAPTION_CHARACTERS = 10_000  # some hundred times what a picture's caption has, and no load for a parser
MAX_NAME_CHARACTERS = 4096
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # all but tab, line feed and carriage return
HALF_CHARACTER = re.compile(r"[\ud800-\udfff]")  # of bytes that are no UTF-8, too


class Caption(NamedTuple):
    """A picture and its caption; `image` is a name below the image folder, or a URL."""

    id: str
    image: str
    text: str


class Broken(Exception):
    """Why a record is no caption, in a few words that are the same for all with this fault."""

    def __init__(self, reason: str, id: str | None = None):
        super().__init__(reason)
        self.reason, self.id = reason, id


Record = tuple[int, Any]  # its place in its file, from 1, and its decoded value, or Broken where it has none


def caption_of(value: Any) -> Caption:
    """The record's caption; raises Broken."""
    if isinstance(value, Broken):
        raise value
    if not isinstance(value, dict):
        raise Broken("record is not an object")
    given = _given_id(value.get("id"))
    try:
        text = _checked("caption", _caption(value), MAX_CAPTION_CHARACTERS)
        image = _checked("image", _first(value, IMAGE_FIELDS), MAX_NAME_CHARACTERS)
    except Broken as broken:
        raise Broken(broken.reason, given) from None
    return Caption(given or made_id(image, text), image, text)


def made_id(image: str, text: str) -> str:
    """The id of a caption that came without: the same wherever, and in whichever file, the pair stands."""
    return hashlib.sha256(f"{image}\n{text}".encode()).hexdigest()[:32]


def _given_id(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _checked("id", value, MAX_NAME_CHARACTERS)


def _caption(value: dict[str, Any]) -> Any:
    if "conversations" not in value:
        return _first(value, TEXT_FIELDS)
    match value["conversations"]:
        case [{"from": "human"}, {"from": "gpt", "value": text}]:
            return text
    raise Broken("conversation is not one question and its answer")


def _first(value: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((value[name] for name in names if value.get(name) is not None), None)


def _checked(what: str, value: Any, most: int) -> str:
    """The text without white space around it."""
    if value is None:
        raise Broken(f"{what} is missing")
    if not isinstance(value, str):
        raise Broken(f"{what} is not text")
    if len(value) > most:
        raise Broken(f"{what} is too long")
    if not (text := value.strip()):
        raise Broken(f"{what} is empty")
    if HALF_CHARACTER.search(text):
        raise Broken(f"{what} is not valid Unicode")
    if CONTROL.search(text):
        raise Broken(f"{what} has control characters")
    return text
