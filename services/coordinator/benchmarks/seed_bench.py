"""Reads SEED-Bench's questions about pictures (github.com/AILab-CVC/SEED-Bench, the first version). In: a folder
with `SEED-Bench.json` and `SEED-Bench-image/`. Out: items; questions about videos (types 10 to 12) are left out.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from services.coordinator.benchmarks.faults import Faults, FileRecord
from services.coordinator.benchmarks.files import json_object, picture, picture_folder
from services.coordinator.benchmarks.items import COLUMNS, Item, Reading
from shared.errors import told

PUBLISHED = "https://huggingface.co/datasets/AILab-CVC/SEED-Bench (SEED-Bench.json, SEED-Bench-image.zip)"
FILE = "SEED-Bench.json"
FOLDERS = ["SEED-Bench-image", "seed_bench_image", "images"]
ENDINGS = ["", ".jpg", ".jpeg", ".png"]  # published without; some unpackers add one


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Text = Annotated[str, Field(min_length=1)]
Choice = Annotated[Text, BeforeValidator(_text)]  # a count may stand there as a number


class Question(FileRecord):
    """One entry of `questions` about a picture, as far as it is used."""

    question_id: Annotated[Text, BeforeValidator(_text)]
    question_type_id: int
    data_type: Literal["image"]
    question: Text
    data_id: Text
    choice_a: Choice
    choice_b: Choice
    choice_c: Choice
    choice_d: Choice
    answer: Literal["A", "B", "C", "D"]


class File(FileRecord):
    """`SEED-Bench.json`; the ids of the types are its own, for the authors once corrected two of them."""

    questions: Annotated[list[Any], Field(min_length=1)]
    question_type: dict[str, int]


def read(folder: Path, split: str | None) -> Reading:
    """All questions about pictures. Raises Unprocessable."""
    faults = Faults(folder, PUBLISHED)
    if split is not None:
        faults.add(f"SEED-Bench has no splits, got split {split!r}; leave it out")
    value = json_object(folder, FILE, faults)
    pictures = picture_folder(folder, FOLDERS, faults)
    faults.stop()
    file = faults.needed(File, value, FILE)
    types = {number: name for name, number in file.question_type.items() if name in COLUMNS["seed-bench"]}
    about_pictures = [question for question in file.questions if not _is_video(question)]
    items = [item for question in about_pictures if (item := _item(pictures, question, types, faults))]
    faults.repeated((item.name for item in items), "question")
    if not about_pictures:
        faults.add(f"{FILE}: none of its questions is about a picture")
    faults.stop()
    num_videos = len(file.questions) - len(about_pictures)
    return Reading(items, (f"{num_videos} questions about videos left out",) if num_videos else ())


def _is_video(value: Any) -> bool:
    return isinstance(value, dict) and value.get("data_type") == "video"


def _item(pictures: Path, value: Any, types: dict[int, str], faults: Faults) -> Item | None:
    name = f"question {value.get('question_id') if isinstance(value, dict) else told(value)}"
    if (question := faults.record(Question, value, name)) is None:
        return None
    if question.question_type_id not in types:
        faults.add(f"{name}: question_type_id {question.question_type_id} is none of pictures")
        return None
    path = picture([pictures], [question.data_id + ending for ending in ENDINGS])
    if path is None:
        faults.add(f"{name}: no picture {pictures.name}/{question.data_id}")
    choices = [question.choice_a, question.choice_b, question.choice_c, question.choice_d]
    return Item(
        question.question_id,
        path,
        {
            "question": question.question,
            "choices": choices,
            "answer": "ABCD".index(question.answer),
            "groups": [types[question.question_type_id]],
        },
    )
