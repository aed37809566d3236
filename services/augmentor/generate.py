"""New instructions for the parents of one image: ask, check, and ask the rejected ones again, three times in all.

Attempts are judged round by round in order of parent id, so the outcome never depends on the replies' timing.
"""

import asyncio
from collections.abc import Sequence

from services.augmentor import prompts
from services.augmentor.novelty import is_novel, nearest
from services.augmentor.validity import clean, invalid_reason
from shared.identity import request_seed
from shared.messages import system_message, user_message
from shared.role import Reply, RoleService
from shared.types import Augmentation, AugmentationRequest, Candidate, EngineSpec, JsonObject, Parent, Usage

ATTEMPTS = 3


async def augment(service: RoleService, spec: EngineSpec, request: AugmentationRequest) -> Augmentation:
    """At most one accepted instruction a parent; every rejected attempt with reason, nearest text and score."""
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
    return Augmentation(
        accepted=accepted,
        rejected=rejected,
        model=spec.model,
        revision=identity.revision,
        prompt_version=identity.prompt_version,
        usage=usage,
    )


def _judged(
    parent: Parent, attempt: int, reply: Reply, texts: list[str], accepted: list[Candidate]
) -> Candidate:
    """The attempt's candidate; an accepted one joins `texts` and `accepted`, for those after it."""
    candidate = check(parent, attempt, reply, texts)
    if candidate.reason is None:
        texts.append(candidate.text)
        accepted.append(candidate)
    return candidate


def check(parent: Parent, attempt: int, reply: Reply, texts: Sequence[str]) -> Candidate:
    """Validity, then novelty against every text of the image."""
    text = clean(reply.text)
    like = nearest(text, texts)
    reason = invalid_reason(text, reply.finish_reason)
    if reason is None and not is_novel(text, texts):
        reason = "not novel"
    return Candidate(
        parent_id=parent.id,
        attempt=attempt,
        text=text,
        reason=reason,
        rouge_l=like.rouge_l if like else None,
        nearest=like.text if like else None,
    )


async def _ask(
    service: RoleService, spec: EngineSpec, request: AugmentationRequest, parent: Parent, attempt: int
) -> Reply:
    seed = request_seed(request.seed, "augmentor", request.image, parent.text, attempt)
    return await service.ask(spec, augmentor_messages(request.image, parent), seed)


def augmentor_messages(image: str | None, parent: Parent) -> list[JsonObject]:
    """The augmentor's prompt: system, image, rules, then the parent question."""
    variable = prompts.variable_text(parent.text, parent.task_type)
    return [system_message(prompts.SYSTEM), user_message(image, prompts.RULES, variable)]
