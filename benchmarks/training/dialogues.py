"""Synthetic training files. In: how many tokens each record has. Out: pictures in a store, lines in OpenAI's format.

Of a record's characters two thirds are answer, which is what is trained on.
"""

import io
import json
import string
from collections.abc import Sequence
from pathlib import Path
from random import Random

from PIL import Image

from shared.images import ImageStore

NUM_PICTURES = 64  # each stands in several records
MARKS = len("u:") + len("A:") + 1  # what the template adds to a turn, the stop token included
SHORTEST = 8  # characters that question and answer have together at least


def write(path: Path, store: ImageStore, lengths: Sequence[int], image_tokens: int, side: int) -> Path:
    """One record of a picture, a question and an answer for each length, in tokens of the random students."""
    rng = Random("dialogues")
    pictures = [store.put(_picture(rng, side)) for _ in range(min(NUM_PICTURES, len(lengths)))]
    with path.open("w", encoding="utf-8") as file:
        for number, length in enumerate(lengths):
            url = f"comd-image:{pictures[number % len(pictures)]}"
            characters = max(length - image_tokens - MARKS, SHORTEST)
            file.write(json.dumps(_record(rng, str(number), url, characters)) + "\n")
    return path


def _record(rng: Random, name: str, url: str, characters: int) -> dict[str, object]:
    asked = characters // 3
    question = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": _text(rng, asked)}]
    answer = _text(rng, characters - asked)
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"id": name, "messages": messages}


def _text(rng: Random, length: int) -> str:
    return "".join(rng.choices(string.ascii_lowercase, k=length))


def _picture(rng: Random, side: int) -> bytes:
    """A PNG of coarse noise, of about a photograph's share of detail."""
    coarse = Image.frombytes("RGB", (side // 4, side // 4), rng.randbytes(side // 4 * (side // 4) * 3))
    file = io.BytesIO()
    coarse.resize((side, side), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()
