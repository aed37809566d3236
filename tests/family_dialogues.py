"""Dialogues about pictures, and what a family's own processor makes of them."""

import base64
import io
from typing import Any

from PIL import Image

from comd.engine.model import LoadedModel
from shared.types import JsonObject

SIZES = [(40, 40), (70, 36), (33, 90)]
ANSWERS = ("Zwei rote \u00c4pfel \U0001f34e,\n\nlinks.", "\u662f\u7684", "no <image> and no </s> <|im_end|> ")


def image_of(width: int, height: int) -> Image.Image:
    """A picture of which no two places are alike."""
    bytes_ = bytes(
        (x * 5 + y * 3 * c + width) % 256 for y in range(height) for x in range(width) for c in (1, 2, 3)
    )
    return Image.frombytes("RGB", (width, height), bytes_)


def url_of(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def turns_of(picture: Image.Image | None, first: bool = True, system: str | None = None) -> list[JsonObject]:
    """A dialogue of three turns as OpenAI's API has it, the picture before or after the first question."""
    parts: list[JsonObject] = [{"type": "text", "text": "what is\nin the picture? \u4ec0\u4e48"}]
    if picture is not None:
        parts.insert(0 if first else 1, {"type": "image_url", "image_url": {"url": url_of(picture)}})
    turns: list[JsonObject] = [] if system is None else [{"role": "system", "content": system}]
    turns += [{"role": "user", "content": parts}, {"role": "assistant", "content": ANSWERS[0]}]
    for question, answer in zip(("sure?", "and <image> left?"), ANSWERS[1:], strict=True):
        turns += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return turns


def own_inputs(
    student: LoadedModel, messages: list[JsonObject], picture: Image.Image | None, **options: Any
) -> Any:
    """What the processor itself makes of a dialogue, control tokens in its texts already broken: (1, T)."""
    from transformers.processing_utils import ProcessorMixin

    def part_of(part: JsonObject) -> JsonObject:
        if part["type"] == "image":
            return {"type": "image", "image": picture}
        return {"type": "text", "text": student.renderer.plain(part["text"])}

    asked = [{**message, "content": [part_of(part) for part in message["content"]]} for message in messages]
    # Not by SmolVLM's own method, which asks its video processor; for pictures it does the same.
    return ProcessorMixin.apply_chat_template(
        student.renderer.processor, asked, tokenize=True, return_dict=True, return_tensors="pt", **options
    )
