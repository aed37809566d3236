"""Augmentation: new instructions from all selected parents of one image, kept in one transaction (step 6).

Then the teacher's answers to them, image by image: they need not wait for the next iteration to begin.
"""

from services.coordinator.outgoing import ItemFailed
from services.coordinator.tasks.teach import answer_all
from services.coordinator.tasks.work import Tools, Work
from shared.identity import augmented_instruction_id, request_seed
from shared.types import Augmentation, AugmentationRequest, Candidate, JsonObject, Parent


async def augment(work: Work, tools: Tools) -> None:
    born = [*work.born, *await _write_new(work, tools)]
    if born:
        work.only_streams = True
        tools.freed.set()  # other augmentations do not wait for these answers
        await answer_all(work, tools, born)


async def _write_new(work: Work, tools: Tools) -> list[JsonObject]:
    """The new instructions of the image, when they are kept."""
    if not work.items:
        return []
    asked = AugmentationRequest(
        image=work.image,
        parents=[
            Parent(id=item["id"], text=item["text"], task_type=item["task_type"]) for item in work.items
        ],
        existing=work.texts,
        seed=request_seed(work.config.seed, "augmentor", work.image, "", work.iteration),
    )
    engine = work.engines.get("augmentor")
    try:
        result = await tools.ask(work, "augmentor", lambda: tools.services.augment(asked, engine))
    except ItemFailed as error:
        await tools.keep(work, {"failures": [work.failure(0, error.message, 1)]})
        return []
    work.note_call("augmentor", result.revision, result.usage, items=len(asked.parents))
    rows = _rows(work, result)
    await tools.keep(work, rows)
    return rows["instructions"]


def _rows(work: Work, result: Augmentation) -> dict[str, list[JsonObject]]:
    parents = {item["id"]: item for item in work.items}
    candidates = [_candidate(work, result, one) for one in (*result.accepted, *result.rejected)]
    silent = parents.keys() - {row["parent"] for row in candidates}
    return {
        "candidates": candidates,
        "instructions": [_instruction(work, parents[one.parent_id], one.text) for one in result.accepted],
        "failures": [work.failure(one, "the augmentor gave no candidate", 1) for one in sorted(silent)],
    }


def _candidate(work: Work, result: Augmentation, one: Candidate) -> JsonObject:
    born = augmented_instruction_id(one.parent_id, work.iteration + 1, one.text)
    return {
        "run_id": work.run_id,
        "iteration": work.iteration,
        "parent": one.parent_id,
        "attempt": one.attempt,
        "text": one.text,
        "accepted": one.reason is None,
        "reason": one.reason,
        "rouge_l": one.rouge_l,
        "nearest": one.nearest,
        "instruction_id": born if one.reason is None else None,
        "revision": result.revision,
        "prompt_version": result.prompt_version,
    }


def _instruction(work: Work, parent: JsonObject, text: str) -> JsonObject:
    return {
        "run_id": work.run_id,
        "id": augmented_instruction_id(parent["id"], work.iteration + 1, text),
        "image": work.claim.key.image,
        "text": text,
        "task_type": parent["task_type"],
        "origin": "augmented",
        "parent": parent["id"],
        "born_in": work.iteration + 1,
        "dialogue": None,
        "turn": None,
    }
