"""The two forms of a role's reply: one JSON object where the engine can be held to a schema, else plain lines.

In: the engine's spec, or a reply. Out: the form, the prompt's version in it, the JSON object of a reply.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Literal

import orjson

from shared.errors import told
from shared.types import EngineSpec, JsonObject

ReplyForm = Literal["json", "lines"]
KINDS_WITH_SCHEMA = {"vllm", "scripted"}
CODE_BLOCK = re.compile(r"\A```(?:json)?\s*\n(.*)\n```\Z", re.DOTALL)


class UnreadableReply(Exception):
    """The reply does not say what was asked, in the form that was asked for; its text says why."""


def reply_form(spec: EngineSpec) -> ReplyForm:
    """JSON where the engine takes a schema: as the operator says, else as its kind is known to."""
    takes_schema = spec.kind in KINDS_WITH_SCHEMA if spec.json_schema is None else spec.json_schema
    return "json" if takes_schema else "lines"


def versioned(version: str, form: ReplyForm) -> str:
    """The prompt's version with its form: the words differ between the two, and so do the replies."""
    return version if form == "json" else f"{version}-lines"


def response_format(name: str, schema: JsonObject) -> JsonObject:
    """OpenAI's `response_format` that holds a reply to `schema`."""
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}


def require_ended(finish_reason: str) -> None:
    """UnreadableReply unless the model ended by itself: what was cut off may end in words that it only quotes."""
    if finish_reason == "length":
        raise UnreadableReply("cut off at the length limit")
    if finish_reason != "stop":
        raise UnreadableReply(f"the model did not end by itself (finish reason {told(finish_reason)})")


def json_object(reply: str, keys: Sequence[str]) -> JsonObject:
    """The one JSON object that a reply is, its keys exactly these in this order; a code block is tolerated."""
    text = reply.strip()
    if block := CODE_BLOCK.match(text):
        text = block[1]
    try:
        orjson.loads(text)  # refuses what json lets pass: NaN, Infinity, halves of surrogate pairs
        found = json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise UnreadableReply(f"not one JSON object: {error}") from error
    if not isinstance(found, dict) or list(found) != list(keys):
        raise UnreadableReply(
            f"expected a JSON object of {', '.join(keys)}, in this order; got {told(found)}"
        )
    return found


def _without_repeats(pairs: list[tuple[str, Any]]) -> JsonObject:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)
