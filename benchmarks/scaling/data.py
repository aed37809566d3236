"""A data set of tiny pictures, six questions each. In: a folder and a number of questions. Out: the JSON file."""

import io
import json
from pathlib import Path

from PIL import Image

QUESTIONS = 6
TOPICS = (
    "the colour of the cup",
    "the place of the cat",
    "the weather",
    "the number of people",
    "the shop",
    "the sign",
)


def write_data(folder: Path, size: int) -> Path:
    folder.mkdir(parents=True)
    records = []
    for number in range(size // QUESTIONS):
        picture = io.BytesIO()
        colour = (number % 256, number // 256 % 256, number // 65536)
        Image.new("RGB", (16, 16), colour).save(picture, "PNG")
        name = f"{number:08d}.png"
        (folder / name).write_bytes(picture.getvalue())
        said = []
        for topic in TOPICS:
            said.append({"from": "human", "value": f"Tell me about {topic} in picture {number}."})
            said.append({"from": "gpt", "value": "It is there."})
        records.append({"id": name, "image": name, "conversations": said})
    file = folder / "data.json"
    file.write_text(json.dumps(records))
    return file
