"""One training line from the answered instructions of one image (algorithm, step 2). Pure.

In: what was asked about an image and answered. Out: OpenAI's chat format, the picture in the first user turn.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from itertools import groupby

from shared.images import reference
from shared.types import JsonObject

TEXT_ONLY = "text:"


@dataclass(frozen=True)
class Answered:
    """An instruction with its answer. `dialogue` and `turn` are None for augmented ones."""

    id: int
    dialogue: str | None
    turn: int | None
    text: str
    answer: str


async def images(batches: AsyncIterator[list[JsonObject]]) -> AsyncIterator[tuple[str, list[JsonObject]]]:
    """Each image with all of its rows, from rows sorted by image; an image may span batches."""
    kept: list[JsonObject] = []
    async for batch in batches:
        groups = [
            (str(image), list(rows)) for image, rows in groupby(kept + batch, key=lambda row: row["image"])
        ]
        for image, rows in groups[:-1]:
            yield image, rows
        kept = groups[-1][1] if groups else []
    if kept:
        yield str(kept[0]["image"]), kept


def answered(rows: Iterable[JsonObject]) -> list[Answered]:
    """What of the rows is answered; the others are not trained on."""
    return [
        Answered(row["id"], row["dialogue"], row["turn"], row["text"], row["answer"])
        for row in rows
        if row["answer"] is not None
    ]


def picture_of(image: str) -> str | None:
    """The sha256 of the picture; None for a dialogue without one, whose instructions share a `text:` key."""
    return None if image.startswith(TEXT_ONLY) else image


def order(item: Answered) -> tuple[bool, str, int, int]:
    """(dialogue, turn), then id; instructions without a dialogue come last."""
    return item.dialogue is None, item.dialogue or "", item.turn or 0, item.id


def training_line(image: str, items: Iterable[Answered]) -> JsonObject:
    """All turns of one image as one dialogue."""
    messages: list[JsonObject] = []
    for item in sorted(items, key=order):
        messages.append({"role": "user", "content": item.text})
        messages.append({"role": "assistant", "content": item.answer})
    picture = picture_of(image)
    if picture is not None:
        shown = {"type": "image_url", "image_url": {"url": reference(picture)}}
        messages[0] = {
            "role": "user",
            "content": [shown, {"type": "text", "text": messages[0]["content"]}],
        }
    return {"id": image, "messages": messages}
