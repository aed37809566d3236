"""An OpenAI chat request, checked. In: a JSON body. Out: a `ChatRequest`, or BadRequest naming the field."""

import secrets
from dataclasses import dataclass
from typing import Any

from comd.engine.dialogue import Ending, Parsed, parse
from shared.chat_fields import without_idle_top_p
from shared.errors import BadRequest
from shared.types import JsonObject

DEFAULT_MAX_TOKENS = 512
WITHOUT_EFFECT: dict[str, tuple[Any, ...]] = {  # taken where they change nothing, refused otherwise
    "n": (None, 1),
    "top_p": (None, 1),
    "tools": (None, []),
    "functions": (None, []),
    "logprobs": (None, False),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "response_format": (None, {"type": "text"}),
}


@dataclass(frozen=True)
class ChatRequest:
    model: str
    dialogue: Parsed
    temperature: float
    max_tokens: int
    seed: int
    stops: tuple[str, ...]
    stream: bool
    usage_in_stream: bool
    ending: Ending = "asking"
    prompt_logprobs: bool = False


def read(body: Any) -> ChatRequest:
    """The request as this engine understands it; what it cannot do is refused by name."""
    if not isinstance(body, dict):
        raise BadRequest("expected a JSON object")
    body = without_idle_top_p(body)
    for name, allowed in WITHOUT_EFFECT.items():
        if body.get(name) not in allowed:
            raise BadRequest(f"{name}: {body[name]!r} is not supported by this engine; leave it out")
    max_tokens = body.get("max_completion_tokens") or body.get("max_tokens") or DEFAULT_MAX_TOKENS
    max_tokens = int(_checked(max_tokens, int, "max_tokens", "a whole number from 1"))
    if max_tokens < 1:
        raise BadRequest(f"max_tokens: expected a whole number from 1, got {max_tokens}")
    seed, dialogue = body.get("seed"), parse(body.get("messages"))
    return ChatRequest(
        model=_checked(body.get("model"), str, "model", "the name of a model"),
        dialogue=dialogue,
        temperature=float(_number(body, "temperature", 1.0, 0, 2)),
        max_tokens=max_tokens,
        seed=secrets.randbits(31) if seed is None else int(_checked(seed, int, "seed", "a whole number")),
        stops=_stops(body.get("stop")),
        stream=bool(body.get("stream")),
        usage_in_stream=bool((body.get("stream_options") or {}).get("include_usage")),
        ending=_ending(body, dialogue),
        prompt_logprobs=_prompt_logprobs(body),
    )


def _ending(body: JsonObject, dialogue: Parsed) -> Ending:
    """How the prompt ends, by vLLM's two fields."""
    asks, continues = _flag(body, "add_generation_prompt", True), _flag(body, "continue_final_message", False)
    if not continues:
        return "asking" if asks else "closed"
    if asks:
        raise BadRequest("continue_final_message: expected add_generation_prompt false beside it")
    if (role := dialogue.messages[-1]["role"]) != "assistant":
        raise BadRequest(f"continue_final_message: expected an assistant's message at the end, got {role}'s")
    return "open"


def _prompt_logprobs(body: JsonObject) -> bool:
    """Whether to say how likely the prompt's own tokens are; of other tokens it is never said."""
    asked = body.get("prompt_logprobs")
    if asked is None:
        return False
    if asked is False or asked != 0:
        raise BadRequest(
            f"prompt_logprobs: expected 0, the prompt's own tokens alone, got {str(asked)[:60]!r}"
        )
    if body.get("stream"):
        raise BadRequest("prompt_logprobs: expected a whole answer, got stream; leave one of them out")
    return True


def _flag(body: JsonObject, name: str, default: bool) -> bool:
    value = default if body.get(name) is None else body[name]
    if not isinstance(value, bool):
        raise BadRequest(f"{name}: expected true or false, got {str(value)[:60]!r}")
    return value


def _checked(value: Any, kind: type, name: str, expected: str) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BadRequest(f"{name}: expected {expected}, got {str(value)[:60]!r}")
    return value


def _number(body: JsonObject, name: str, default: float, low: float, high: float) -> float:
    value = default if body.get(name) is None else body[name]
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise BadRequest(f"{name}: expected a number from {low} to {high}, got {str(value)[:60]!r}")
    return value


def _stops(given: Any) -> tuple[str, ...]:
    stops = [given] if isinstance(given, str) else given or []
    if not isinstance(stops, list) or not all(isinstance(stop, str) and stop for stop in stops):
        raise BadRequest(f"stop: expected a text or a list of texts, got {str(given)[:60]!r}")
    return tuple(stops)
