"""Requests in the form in which lmms-eval 0.7.3 and VLMEvalKit 0.2rc1 send them, written after their sources.

In: a question, its picture and the model's name. Out: the JSON body; `test_lmms_eval.py` and `test_vlmevalkit.py` in
`tests/handover` run the tools themselves.
"""

import base64
import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from shared.types import JsonObject

Form = Callable[[str, Path | None, str], JsonObject]


def lmms_eval_simple(text: str, picture: Path | None, model: str) -> JsonObject:
    """`--model openai --force_simple`: the text first, then the pictures as PNG."""
    parts = [{"type": "text", "text": text}, *_pictures(picture, "PNG")]
    return {**_asked(model, parts), "max_tokens": 16, "temperature": 0}


def lmms_eval_chat(text: str, picture: Path | None, model: str) -> JsonObject:
    """`--model openai` and `async_openai`: the pictures first, or as the task's own messages say.

    The `top_p` is its task's, and 0 in more than one.
    """
    parts = [*_pictures(picture, "PNG"), {"type": "text", "text": text}]
    return {**_asked(model, parts), "max_tokens": 1024, "temperature": 0.0, "top_p": 0, "seed": 7, "n": 1}


def lmms_eval_reasoning_name(text: str, picture: Path | None, model: str) -> JsonObject:
    """`--model openai` where `o1`, `o3`, `o4` or `gpt-5` is a part of the model's name."""
    body = lmms_eval_chat(text, picture, model)
    del body["temperature"], body["max_tokens"], body["top_p"]
    return {**body, "response_format": {"type": "text"}, "max_completion_tokens": 1024}


def vlmevalkit_base_url(text: str, picture: Path | None, model: str) -> JsonObject:
    """`run.py --base-url`: the class LMDeployAPI, JPEG pictures."""
    parts = [*_pictures(picture, "JPEG"), {"type": "text", "text": text}]
    return {**_asked(model, parts), "n": 1, "max_tokens": 64, "temperature": 0.0}


def vlmevalkit_config(text: str, picture: Path | None, model: str) -> JsonObject:
    """`run.py --config` with the class GPT4V: a detail beside each picture, and a system prompt of its own."""
    parts = [*_pictures(picture, "JPEG", detail="low"), {"type": "text", "text": text}]
    system = {"role": "system", "content": "Answer shortly."}
    body = _asked(model, parts)
    return {**body, "messages": [system, *body["messages"]], "temperature": 0, "max_tokens": 64}


FORMS: dict[str, Form] = {
    form.__name__: form
    for form in (
        lmms_eval_simple,
        lmms_eval_chat,
        lmms_eval_reasoning_name,
        vlmevalkit_base_url,
        vlmevalkit_config,
    )
}


def _asked(model: str, parts: list[JsonObject]) -> JsonObject:
    return {"model": model, "messages": [{"role": "user", "content": parts}]}


def _pictures(picture: Path | None, form: str, **beside: str) -> list[JsonObject]:
    """Both tools open the picture and encode it anew; VLMEvalKit enlarges small ones to 100 pixels."""
    if picture is None:
        return []
    buffer = io.BytesIO()
    with Image.open(picture) as opened:
        opened.convert("RGB").resize((100, 100)).save(buffer, form)
    url = f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return [{"type": "image_url", "image_url": {"url": url, **beside}}]
