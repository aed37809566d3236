"""A pool as dialogues, one an image: LLaVA's JSON list or OpenAI's JSON lines, with where every turn comes from.

In: a pool's rows, image by image. Out: bytes to stream. `provenance` is a key that readers of both forms pass over.
"""

from collections.abc import AsyncIterator, Callable

import orjson

from services.coordinator.merge import Answered, answered, images, order, picture_of, training_line
from shared.types import JsonObject

TOLD = (
    "id",
    "task_type",
    "origin",
    "parent",
    "born_in",
    "dialogue",
    "turn",
    "model_revision",
    "prompt_version",
    "request_hash",
)
AS_TEXT = {"id", "parent"}  # 63 bits, of which JavaScript's numbers hold 53
CHUNK_BYTES = 128 * 1024
Write = Callable[[str, list[Answered]], JsonObject]


async def chunks(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in fewer parts: each costs a step through the whole server."""
    kept, size = list[bytes](), 0
    async for part in parts:
        kept.append(part)
        size += len(part)
        if size >= CHUNK_BYTES:
            yield b"".join(kept)
            kept, size = [], 0
    yield b"".join(kept)


async def openai_lines(batches: AsyncIterator[list[JsonObject]], of: JsonObject) -> AsyncIterator[bytes]:
    """A training line each."""
    async for line in _dialogues(batches, of, training_line):
        yield line + b"\n"


async def llava_list(batches: AsyncIterator[list[JsonObject]], of: JsonObject) -> AsyncIterator[bytes]:
    """One JSON list; a record a line, so that a person can look into it."""
    before = b"[\n"
    async for line in _dialogues(batches, of, llava_record):
        yield before + line
        before = b",\n"
    yield b"\n]\n" if before == b",\n" else b"[]\n"


def llava_record(image: str, items: list[Answered]) -> JsonObject:
    """The image's dialogue in the form that LLaVA's data has; the picture is named by its sha256."""
    turns: list[JsonObject] = []
    for item in sorted(items, key=order):
        turns.append({"from": "human", "value": item.text})
        turns.append({"from": "gpt", "value": item.answer})
    picture = picture_of(image)
    if picture is None:
        return {"id": image, "conversations": turns}
    turns[0] = {"from": "human", "value": f"<image>\n{turns[0]['value']}"}
    return {"id": image, "image": picture, "conversations": turns}


async def _dialogues(
    batches: AsyncIterator[list[JsonObject]], of: JsonObject, write: Write
) -> AsyncIterator[bytes]:
    async for image, rows in images(batches):
        if items := answered(rows):
            rows_of = {row["id"]: row for row in rows}
            told = [provenance(rows_of[item.id]) for item in sorted(items, key=order)]
            yield orjson.dumps({**write(image, items), "provenance": {**of, "instructions": told}})


def provenance(row: JsonObject) -> JsonObject:
    """Where one turn comes from."""
    return {name: str(row[name]) if name in AS_TEXT and row[name] is not None else row[name] for name in TOLD}
