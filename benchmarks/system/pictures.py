"""A data set for benchmarks: pictures of 100 KB and questions about them, no two the same.

In: a folder and numbers. Out: a LLaVA-style file and its pictures there.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.roles.asked import ANSWER, picture

PLACES = ("left", "right", "middle", "top", "bottom")
ASKED = (
    "What does the person at the {place} of the picture hold in the hand, and what may it be used for?",
    "How many things of the same colour as the one at the {place} can be seen in the whole picture?",
    "Describe what happens at the {place} of the picture in one or two sentences.",
)


def write(folder: Path, numbers: Iterable[int], questions: int) -> Path:
    """A record for each number: its picture, and a dialogue of so many turns. Gives the JSON file's path."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    records = [_record(images, number, questions) for number in numbers]
    file = folder / "instruct.json"
    file.write_text(json.dumps(records))
    return file


def _record(images: Path, number: int, questions: int) -> dict[str, Any]:
    (images / f"{number}.jpg").write_bytes(picture(number))
    drawn = Random(number)
    turns: list[dict[str, str]] = []
    for turn in range(questions):
        asked = ASKED[turn % len(ASKED)].format(place=drawn.choice(PLACES))
        turns.append({"from": "human", "value": f"({number}, {turn}) {asked}"})
        turns.append({"from": "gpt", "value": ANSWER})
    return {"id": f"record-{number}", "image": f"{number}.jpg", "conversations": turns}
