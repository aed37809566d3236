"""The model that an evaluation measures, as the workers ask it.

In: whom, a picture, a question. Out: an answer or the likelihoods of its choices, or one of the three errors of
`outgoing`. An engine is asked by way of the teacher service, without the teacher's prompt; a checkpoint by way of the
trainer.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from services.coordinator.benchmarks.likelihood import (
    Likelihood,
    NoLogprobs,
    PromptToken,
    choice_score,
    prompt_tokens,
)
from services.coordinator.clients import Answer, Services, read_answer
from services.coordinator.outgoing import ItemFailed, Unreadable, sorted_error
from shared.errors import ComdError, Unprocessable
from shared.messages import user_message
from shared.types import EngineSpec, JsonObject, Usage
from shared.usage import usage_of

OPEN_ENDED: JsonObject = {"add_generation_prompt": False, "continue_final_message": True}
HOW_LIKELY: JsonObject = {"prompt_logprobs": 0, "max_tokens": 1, "temperature": 0}
BEYOND_OPENAI = ("prompt_logprobs", *OPEN_ENDED)


@dataclass(frozen=True)
class Subject:
    """Exactly one: an engine, the role "teacher" (with its service's own prompt), or a checkpoint of the trainer.

    `revision`: of the engine's model, whose answers alone are taken; None where whoever is there may answer.
    """

    engine: EngineSpec | None = None
    role: str | None = None
    checkpoint: str | None = None
    revision: str | None = None

    def __post_init__(self) -> None:
        assert (self.engine is None) + (self.role is None) + (self.checkpoint is None) == 2
        assert self.role in (None, "teacher")

    @property
    def service(self) -> str:
        """Whose chat completions are asked."""
        return "teacher" if self.checkpoint is None else "student"


async def answer(
    services: Services, where: Subject, image: str | None, text: str, sampling: JsonObject, seed: int
) -> Answer:
    """What the tested model says to one question."""
    asked = {"messages": [user_message(image, text)], "seed": seed, **sampling}
    return read_answer(services.urls[where.service], *await _ask(services, where, asked))


async def likelihoods(
    services: Services, where: Subject, image: str | None, text: str, choices: Sequence[str], seed: int
) -> tuple[list[Likelihood], Usage]:
    """How likely each choice is as the answer to `text`. ItemFailed where the engine does not say."""
    question = user_message(image, text)
    answers = [{"role": "assistant", "content": choice} for choice in choices]
    asked = [
        {"messages": [question]},
        *({"messages": [question, answer], **OPEN_ENDED} for answer in answers),
    ]
    replies = await asyncio.gather(
        *(_ask(services, where, {**one, **HOW_LIKELY, "seed": seed}) for one in asked)
    )
    usage = sum((usage_of(*reply) for reply in replies), Usage())
    prefix, *wholes = [_tokens(services.urls[where.service], reply) for reply, _ in replies]
    return [_score(prefix, whole) for whole in wholes], usage


async def check_likelihoods(services: Services, where: Subject) -> None:
    """NoLogprobs where the engine cannot say how likely a choice is, Unprocessable where it refuses otherwise.

    Waiting where it cannot be asked just now. A checkpoint is not asked: the student's engines can, and it need not
    be loaded yet.
    """
    if where.checkpoint is not None:
        return
    try:
        await likelihoods(services, where, None, "Is it day or night?", ["Day"], seed=0)
    except (ItemFailed, Unreadable) as error:
        if isinstance(error.__cause__, NoLogprobs):
            raise error.__cause__ from error
        if any(field in error.message for field in BEYOND_OPENAI):
            raise NoLogprobs(error.message) from error
        raise Unprocessable(f"the tested engine: {error.message}", code="engine_refused") from error


async def _ask(services: Services, where: Subject, asked: JsonObject) -> tuple[JsonObject, float]:
    """The reply, and the seconds that the engine took."""
    if where.checkpoint is not None:
        return await services.complete("student", where.checkpoint, asked, None)
    if where.engine is not None:
        return await services.complete(
            "teacher", where.engine.model, asked, where.engine, believed=where.revision, is_plain=True
        )
    said = await services.identity("teacher", None)
    return await services.complete("teacher", said.model, asked, None, believed=where.revision)


def _tokens(url: str, reply: JsonObject) -> list[PromptToken]:
    try:
        return prompt_tokens(reply)
    except NoLogprobs as error:
        raise ItemFailed(f"{url}: {error.message}") from error
    except ComdError as error:
        raise sorted_error(error) from error


def _score(prefix: Sequence[PromptToken], whole: Sequence[PromptToken]) -> Likelihood:
    try:
        return choice_score(prefix, whole)
    except ComdError as error:
        raise sorted_error(error) from error
