"""Whether an engine serves the weights that were published. In: the way to ask it, and probes.

Out: nothing where all answers agree, else the first that does not. Reloading in place has been seen to leave
old weights in engines, and a wake to bring back garbage, both without an error: only answers can tell.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import orjson

from services.trainer.serving.probes import Probe
from services.trainer.serving.wire import Answer
from shared.types import JsonObject

Ask = Callable[[bytes], Awaitable[Answer]]


@dataclass(frozen=True)
class Disagreement:
    """Both answers to one question, with their mean log-probabilities where they are known."""

    question: str
    expected: str
    came: str

    def __str__(self) -> str:
        return f"to {self.question!r} expected {self.expected}, got {self.came}"


async def check(ask: Ask, name: str, probes: Sequence[Probe], with_logprobs: bool) -> Disagreement | None:
    """Ask all probes of student `name` at once, greedily, and compare. `with_logprobs`: the engine gives them."""
    found = await asyncio.gather(*(_probe(ask, name, probe, with_logprobs) for probe in probes))
    return next((disagreement for disagreement in found if disagreement is not None), None)


async def _probe(ask: Ask, name: str, probe: Probe, with_logprobs: bool) -> Disagreement | None:
    body: JsonObject = {
        "model": name,
        "messages": probe.messages,
        "temperature": 0,
        "seed": 0,
        "max_tokens": probe.num_tokens + int(probe.ended),
    }
    answer = await ask(orjson.dumps(body | ({"logprobs": True} if with_logprobs else {})))
    if answer.status != 200:
        return _disagreement(probe, f"status {answer.status}: {answer.body[:300].decode(errors='replace')}")
    choice = orjson.loads(answer.body)["choices"][0]
    text = choice["message"]["content"] or ""
    mean = _mean_logprob(choice, probe.num_tokens) if with_logprobs else None
    if _text_agrees(probe, text, choice["finish_reason"]) and _logprob_agrees(probe, mean):
        return None
    return _disagreement(probe, _shown(text, mean))


def _text_agrees(probe: Probe, text: str, finish_reason: str) -> bool:
    # Engines differ in whether the space before the first word belongs to the answer.
    if probe.ended:
        return text.strip() == probe.text.strip() and finish_reason == "stop"
    return text.lstrip().startswith(probe.text.lstrip())


def _logprob_agrees(probe: Probe, mean: float | None) -> bool:
    """Finer than the text: weights of one training earlier often give the same short answer."""
    if mean is None or probe.mean_logprob is None:
        return True
    return abs(mean - probe.mean_logprob) <= probe.tolerance


def _mean_logprob(choice: JsonObject, num_tokens: int) -> float | None:
    tokens = ((choice.get("logprobs") or {}).get("content") or [])[:num_tokens]
    return sum(token["logprob"] for token in tokens) / len(tokens) if tokens else None


def _disagreement(probe: Probe, came: str) -> Disagreement:
    return Disagreement(_question(probe), _shown(probe.text, probe.mean_logprob), came)


def _shown(text: str, mean: float | None) -> str:
    return repr(text) + (f" (mean log-probability {mean:.4f})" if mean is not None else "")


def _question(probe: Probe) -> str:
    content = probe.messages[-1]["content"]
    parts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
    return " ".join(filter(None, parts))[:200]
