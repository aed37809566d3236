"""Teaching: the teacher answers every instruction of one image that it has not answered yet (step 2).

The tuning pool's in its phase; those that an augmentation has just brought forth, in the same task.
"""

import asyncio
from collections.abc import Sequence

from services.coordinator.clients import Answer
from services.coordinator.outgoing import ItemFailed
from services.coordinator.tasks.work import IdentityChanged, Request, Tools, Work, request
from shared.types import JsonObject, RoleIdentity

ATTEMPTS = 2  # the second at double length


async def teach(work: Work, tools: Tools) -> None:
    await answer_all(work, tools, work.items)


async def answer_all(work: Work, tools: Tools, items: Sequence[JsonObject]) -> None:
    """Each answer is kept as it comes; one that cannot be had is a failure of its own."""
    engine = work.engines.get("teacher")
    identity = await tools.ask(work, "teacher", lambda: tools.services.identity("teacher", engine))
    asked = {item["id"]: _requests(work, identity, item) for item in items}
    known = await tools.known_answers([one.hash for requests in asked.values() for one in requests])
    async with asyncio.TaskGroup() as group:
        for instruction_id, requests in asked.items():
            group.create_task(_teach_one(work, tools, instruction_id, requests, known))


def _requests(work: Work, identity: RoleIdentity, item: JsonObject) -> list[Request]:
    return [request(work, identity, item["text"], attempt) for attempt in range(ATTEMPTS)]


async def _teach_one(
    work: Work, tools: Tools, instruction_id: int, requests: list[Request], known: dict[str, JsonObject]
) -> None:
    """An answer that did not end by itself is kept, but neither bound nor trained on."""
    for attempt, asked in enumerate(requests, 1):
        try:
            finish_reason, rows = await _answer(work, tools, asked, known, attempt)
        except ItemFailed as error:
            await tools.keep(work, {"failures": [_failure(work, instruction_id, error.message, attempt)]})
            return
        if finish_reason == "stop":
            binding = {
                "run_id": work.run_id,
                "instruction_id": instruction_id,
                "role": "teacher",
                "checkpoint": "",
                "request_hash": asked.hash,
            }
            await tools.keep(work, {"answers": rows, "bindings": [binding]})
            return
        await tools.keep(work, {"answers": rows})
    limit = requests[-1].sampling["max_tokens"]
    reason = f"the answer did not end within {limit} tokens (finish reason {finish_reason})"
    await tools.keep(work, {"failures": [_failure(work, instruction_id, reason, ATTEMPTS)]})


def _failure(work: Work, instruction_id: int, reason: str, attempts: int) -> JsonObject:
    """In the teaching of the iteration that would train on it, whichever phase asked."""
    born_in = work.iteration + (work.claim.key.phase == "augmenting")
    said = work.failure(instruction_id, reason, attempts)
    return {**said, "iteration": born_in, "phase": "teaching"}


async def _answer(
    work: Work, tools: Tools, asked: Request, known: dict[str, JsonObject], attempt: int
) -> tuple[str, list[JsonObject]]:
    """The finish reason, and the row to keep where the answer is new."""
    if stored := known.get(asked.hash):
        return str(stored["finish_reason"]), []
    engine = work.engines.get("teacher")

    async def ask() -> Answer:
        # asked anew after every call in vain: an engine that was away may come back with another model
        identity = await tools.services.identity("teacher", engine)
        if identity != asked.identity:
            raise IdentityChanged(f"teacher: {identity.revision} in the place of {asked.identity.revision}")
        return await tools.services.chat(
            "teacher",
            identity.model,
            asked.image,
            asked.text,
            asked.sampling,
            asked.seed,
            engine,
            believed=identity.revision,
        )

    answer = await tools.ask(work, "teacher", ask)
    work.note_call("teacher", asked.identity.revision, answer.usage, items=1 if attempt == 1 else 0)
    return answer.finish_reason, [asked.row(answer)]
