"""New instructions for the parents of one image: ask, check, and ask the rejected ones again, three times in all.

Attempts are judged round by round in order of parent id, so the outcome never depends on the replies' timing.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from services.augmentor import prompts
from services.augmentor.novelty import MOST_CHARACTERS, nearest
from services.augmentor.reply import read_question
from services.augmentor.validity import invalid_reason
from shared.asking import ask_in_form
from shared.errors import EngineReplyError, Unprocessable
from shared.identity import request_seed
from shared.messages import system_message, user_message
from shared.plain_text import check_text
from shared.reply_form import ReplyForm, UnreadableReply, reply_form
from shared.role import RoleService
from shared.types import Augmentation, AugmentationRequest, Candidate, EngineSpec, JsonObject, Parent, Usage

ATTEMPTS = 3
MOST_KEPT = 2000  # characters of a reply that is no question


@dataclass(frozen=True)
class Asked:
    """One attempt's question; or, with the reason, a reply that is none."""

    text: str
    usage: Usage
    reason: str | None = None


async def augment(service: RoleService, spec: EngineSpec, request: AugmentationRequest) -> Augmentation:
    """At most one accepted instruction a parent; every rejected attempt with reason, nearest text and score."""
    check_request(request)
    identity = await service.identity(spec)
    texts = list(request.existing)
    accepted: list[Candidate] = []
    rejected: list[Candidate] = []
    waiting = sorted(request.parents, key=lambda parent: parent.id)
    usage = Usage()
    for attempt in range(1, ATTEMPTS + 1):
        replies = await asyncio.gather(*(_ask(service, spec, request, parent, attempt) for parent in waiting))
        judged = [
            _judged(parent, attempt, reply, texts, accepted)
            for parent, reply in zip(waiting, replies, strict=True)
        ]
        rejected += [candidate for candidate in judged if candidate.reason]
        waiting = [parent for parent, candidate in zip(waiting, judged, strict=True) if candidate.reason]
        usage = sum((reply.usage for reply in replies), usage)
    await service.revisions.confirm(spec, identity.revision)
    return Augmentation(
        accepted=accepted,
        rejected=rejected,
        model=spec.model,
        revision=identity.revision,
        prompt_version=identity.prompt_version,
        usage=usage,
    )


def check_request(request: AugmentationRequest) -> None:
    """Unprocessable where a parent stands twice, or texts are too long or no Unicode."""
    for parent_id, times in Counter(parent.id for parent in request.parents).items():
        if times > 1:
            raise Unprocessable(
                f"parents: id {parent_id} stands {times} times; name each parent once", param="parents"
            )
    for parent in request.parents:
        check_text("parents", parent.text)
    for text in request.existing:
        check_text("existing", text)
    if (characters := sum(map(len, request.existing))) > MOST_CHARACTERS:
        said = f"expected {MOST_CHARACTERS} characters at most in all, got {characters}"
        raise Unprocessable(f"existing: {said}; they are the questions of one image", param="existing")


def _judged(
    parent: Parent, attempt: int, reply: Asked, texts: list[str], accepted: list[Candidate]
) -> Candidate:
    """The attempt's candidate; an accepted one joins `texts` and `accepted`, for those after it."""
    candidate = check(parent, attempt, reply, texts)
    if candidate.reason is None:
        texts.append(candidate.text)
        accepted.append(candidate)
    return candidate


def check(parent: Parent, attempt: int, reply: Asked, texts: Sequence[str]) -> Candidate:
    """Validity, then novelty against every text of the image."""
    like = nearest(reply.text, texts)
    reason = reply.reason or invalid_reason(reply.text)
    if reason is None and like and like.too_similar:
        reason = "not novel"
    return Candidate(
        parent_id=parent.id,
        attempt=attempt,
        text=reply.text,
        reason=reason,
        rouge_l=like.rouge_l if like else None,
        nearest=like.text if like else None,
    )


async def _ask(
    service: RoleService, spec: EngineSpec, request: AugmentationRequest, parent: Parent, attempt: int
) -> Asked:
    form = reply_form(spec)
    messages = augmentor_messages(request.image, parent, form)
    seed = request_seed(request.seed, "augmentor", request.image, parent.text, attempt)
    try:
        reply = await ask_in_form(service, spec, messages, seed, prompts.RESPONSE_FORMAT)
    except EngineReplyError as error:  # one parent's broken reply is not to cost the whole image
        return Asked("", Usage(calls=1), error.message)
    try:
        return Asked(read_question(reply.text, reply.finish_reason, form), reply.usage)
    except UnreadableReply as error:
        return Asked(reply.text.strip()[:MOST_KEPT], reply.usage, str(error))


def augmentor_messages(image: str | None, parent: Parent, form: ReplyForm) -> list[JsonObject]:
    """The augmentor's prompt: system, image, rules, then the parent question."""
    variable = prompts.variable_text(parent.text, parent.task_type)
    return [system_message(prompts.SYSTEM), user_message(image, prompts.fixed_text(form), variable)]
