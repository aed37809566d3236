"""Reads a chat completion request: what is shown, what is said, and which role it puts the engine in.

In: the request's JSON. Out: an Asking, whose noise is a hash of what is asked and nothing else.
"""

from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import Any, Literal

import orjson

from comd.scripted.augmenting import parent_of
from comd.scripted.errors import ApiError
from comd.scripted.judging import fenced_parts
from comd.scripted.sight import scene_of
from comd.world.scene import Scene, layout_key
from shared.chat_fields import OPENAI

Role = Literal["teacher", "judge", "augmentor", "student", "plain"]
ROLES: tuple[Role, ...] = ("teacher", "judge", "augmentor", "student", "plain")

MODEL = "scripted"
STUDENT = "scripted-student"
CREATED = 1_700_000_000
"""When the models were "made", and every reply: a constant, so that a reply is a function of its request."""
MODELS = (MODEL, STUDENT, *(f"{STUDENT}@{level}" for level in range(10)))

_NOISE_KEYS = (
    "model",
    "seed",
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "response_format",
)


_FORMED = ("judge", "augmentor")
"""The roles that reply in one of two forms."""


@dataclass(frozen=True, slots=True)
class Asking:
    """One request, understood."""

    model: str
    role: Role
    scene: Scene | None
    text: str
    max_words: int | None
    wants_json: bool
    noise: bytes

    def rng(self) -> Random:
        """The randomness of the reply: the same request always draws the same."""
        return Random(self.noise)


def read(body: Any) -> Asking:
    """Understands a request body; ApiError where it is not one, or names a model that is not served."""
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list) or not body["messages"]:
        raise ApiError(400, "the body must be a JSON object with a list of messages", "invalid_request")
    if unknown := sorted(body.keys() - OPENAI):  # refused as OpenAI's API does
        raise ApiError(400, f"Unrecognized request argument supplied: {unknown[0]}", "unknown_parameter")
    model = body.get("model")
    if model not in MODELS:
        message = f"The model {model!r} does not exist; this scripted engine serves {', '.join(MODELS)}"
        raise ApiError(404, message, "model_not_found")
    system, text, urls = _content(body["messages"])
    scene = scene_of(urls[-1]) if urls else None
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    role = _role(model, system, text)
    # The picture stands in the noise as what it shows: another encoding of it gets the same reply.
    shown = None if scene is None else layout_key(scene)
    what = _what_is_asked(role, system, text)
    keys = _NOISE_KEYS if role not in _FORMED else _NOISE_KEYS[:-1]
    noise = sha256(orjson.dumps([*what, shown, [body.get(key) for key in keys]])).digest()
    form = body.get("response_format")
    wants_json = isinstance(form, dict) and form.get("type") == "json_schema"
    return Asking(model, role, scene, text, limit, wants_json, noise)


def _content(messages: list[Any]) -> tuple[str, str, list[str]]:
    """The system prompt, the text of the last user message, and the image URLs in order."""
    system, text, urls = "", "", []
    for message in messages:
        if not isinstance(message, dict):
            raise ApiError(400, "each message must be a JSON object", "invalid_request")
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        texts: list[str] = []
        for part in parts:
            if part.get("type") == "text":
                texts.append(part["text"])
            elif part.get("type") == "image_url":
                image = part["image_url"]
                urls.append(image if isinstance(image, str) else image["url"])
        if message.get("role") == "system":
            system = "\n".join(texts)
        elif message.get("role") == "user":
            text = "\n".join(texts).replace("<image>", "").strip()
    return system, text, urls


def _role(model: str, system: str, text: str) -> Role:
    """The role that the prompt describes; the student's is known by its model."""
    if model != MODEL:
        return "student"
    prompt = system.lower()
    if "judge" in prompt and "[answer 1 " in text:
        return "judge"
    if "write" in prompt and "question" in prompt:
        return "augmentor"
    return "teacher" if "answer" in prompt else "plain"


def _what_is_asked(role: Role, system: str, text: str) -> list[Any]:
    """What the noise hangs on. Of the judge's and augmentor's prompts not their wording, mark or reply form: they
    may change, and the same answers still get the same scores."""
    if role == "judge":
        return sorted(fenced_parts(text).items())
    return [parent_of(text)] if role == "augmentor" else [system, text]
