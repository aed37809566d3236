"""Proof before anything is written. In: the parts and the student. Out: nothing, or a ConfigError.

The template's answer spans line up with tokens, a picture gives as many features as it has tokens, and
without a picture the student says what the language model says.
"""

import io
from typing import Any

import jinja2
import torch
from PIL import Image

from comd.engine.dialogue import Renderer
from comd.engine.pictures import Picture, prepare
from shared.errors import BadRequest, ConfigError
from shared.types import JsonObject

ANSWERS = ("Red.", "two\nlines", "Größe: 3 × 4 – 紅色 😀", "(a) yes")


def check_template(processor: Any, picture: Picture) -> None:
    """Every answer with its stop token is a run of whole tokens, and a prompt is how its dialogue begins."""
    try:
        renderer = Renderer(processor)
        for system in (None, "Be brief."):
            for first in (True, False):
                _check_dialogue(renderer, picture, dialogue(system, first))
    except (jinja2.TemplateError, BadRequest) as error:
        raise ConfigError(f"the chat template cannot render a dialogue about a picture: {error}") from error


def dialogue(system: str | None, picture_first: bool) -> list[JsonObject]:
    """Several turns about one picture."""
    messages: list[JsonObject] = [_message("system", system)] if system else []
    for answer in ANSWERS:
        messages += [_message("user", "What is it?"), _message("assistant", answer)]
    messages[1 if system else 0]["content"].insert(0 if picture_first else 1, {"type": "image"})
    return messages


def _message(role: str, text: str) -> JsonObject:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _check_dialogue(renderer: Renderer, picture: Picture, messages: list[JsonObject]) -> None:
    rendered = renderer.dialogue(messages, [picture])
    found = [renderer.answer_text(rendered.input_ids[start:end]) for start, end in rendered.answers]
    wanted = [renderer.expected_answer_text(answer) for answer in ANSWERS]
    if found != wanted:
        raise ConfigError(
            f"the chat template marks {found} as answers, expected {wanted}: its generation blocks must hold "
            f"the answer and the stop token {renderer.stop_token}, at the borders of tokens"
        )
    asked = [at for at, message in enumerate(messages) if message["role"] == "assistant"]
    for at, (start, _) in zip(asked, rendered.answers, strict=True):
        if renderer.prompt(messages[:at], [picture]) != rendered.input_ids[:start]:
            raise ConfigError(
                "the chat template's prompt for an answer is not how the dialogue with that answer begins; "
                "training and serving would differ: see add_generation_prompt in the template"
            )


@torch.inference_mode()
def check_student(model: Any, llm: Any, processor: Any, picture: Picture) -> None:
    """Pictures and words pass through as they should."""
    pixels, side = picture.inputs["pixel_values"].to(model.dtype), model.config.vision_config.image_size
    if tuple(pixels.shape[2:]) != (side, side):
        raise ConfigError(
            f"the image processor makes pictures of {tuple(pixels.shape[2:])} pixels, the tower takes {side} x "
            f"{side}; give the tower its own preprocessor_config.json"
        )
    (features,) = model.model.get_image_features(pixels, return_dict=True).pooler_output
    num_tokens = picture.placeholder.count(processor.image_token)
    if not len(features) == num_tokens == model.config.image_seq_length:
        raise ConfigError(
            f"the tower gives {len(features)} features for a picture, the processor {num_tokens} tokens; "
            "its patch_size does not fit the LLaVA form"
        )
    ids = torch.tensor([processor.tokenizer("Two red squares.", add_special_tokens=False)["input_ids"]])
    ours, theirs = model(input_ids=ids).logits, llm(input_ids=ids).logits
    if not torch.allclose(ours, theirs, atol=1e-3, rtol=1e-3):
        raise ConfigError(
            f"{type(llm).__name__} does more to its logits than the LLaVA form keeps (a cap, a scale); "
            "take a Llama-like model"
        )


def blank_picture(processor: Any) -> Picture:
    """A picture that is not square, as most are not, prepared as the student takes it."""
    file = io.BytesIO()
    Image.new("RGB", (90, 60), (200, 30, 30)).save(file, "PNG")
    try:
        return prepare(processor, file.getvalue())
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"the image processor cannot prepare a picture: {error}") from error
