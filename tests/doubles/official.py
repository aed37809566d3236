"""Writes small benchmarks in their official layouts: rendered pictures, invented questions, known right answers.

In: an empty folder. Out: the folder as a user has it after fetching the published data, every oddity of the formats
in it. Tests damage what they want damaged, by `edit_json` or by removing a file.
"""

import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

COLOURS = ["red", "green", "blue", "yellow", "white", "orange", "purple", "grey", "pink"]
TYPE_IDS = {
    "Scene Understanding": 1,
    "Instance Identity": 2,
    "Instance Attributes": 3,
    "Instance Location": 4,
    "Instances Counting": 5,
    "Spatial Relation": 6,
    "Instance Interaction": 7,
    "Visual Reasoning": 8,
    "Text Understanding": 9,
    "Action Recognition": 10,
    "Action Prediction": 11,
    "Procedure Understanding": 12,
}


def render(path: Path, colour: str, text: str = "") -> None:
    """A small picture: a box of the colour on black."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_rendered(colour, text, "JPEG" if path.suffix in {"", ".jpg"} else "PNG"))


@cache
def _rendered(colour: str, text: str, form: str) -> bytes:
    picture = Image.new("RGB", (64, 64), "black")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((12, 12, 52, 52), fill=colour)
    draw.text((2, 2), text, fill="white")
    file = io.BytesIO()
    picture.save(file, form)
    return file.getvalue()


def edit_json(path: Path, edit: Callable[[Any], None]) -> None:
    """Change a JSON file in place."""
    value = json.loads(path.read_text(encoding="utf-8"))
    edit(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def edit_lines(path: Path, edit: Callable[[list[Any]], None]) -> None:
    """Change a file of JSON lines in place."""
    values = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    edit(values)
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")


def problem(**fields: Any) -> dict[str, Any]:
    """One value of `problems.json` with the published file's fields."""
    return {
        "question": "Which colour is the box?",
        "choices": ["red", "green"],
        "answer": 0,
        "hint": "",
        "image": None,
        "task": "closed choice",
        "grade": "grade3",
        "subject": "natural science",
        "topic": "physics",
        "category": "Materials",
        "skill": "Name colours",
        "lecture": "Light of one wavelength has one colour.",
        "solution": "The box gives back the light of its own colour.",
        "split": "test",
    } | fields


def scienceqa_problems() -> dict[str, dict[str, Any]]:
    """Problem by id: every subject, grade, context and number of choices. The right choices are 0 1 2 4 0 1 1."""
    return {
        "3": problem(image="image.png"),
        "11": problem(image="image.png", hint="The box is a plant.", answer=1, grade="grade6"),
        "12": problem(
            question="Which word is a noun?",
            choices=["run", "blue", "box"],
            answer=2,
            hint="A noun names a thing.",
            subject="language science",
            grade="grade7",
        ),
        "40": problem(
            question="Which town is the capital?",
            choices=["Arl", "Bex", "Cly", "Dov", "Elm"],
            answer=4,
            subject="social science",
            grade="grade12",
            lecture="",
        ),
        "41": problem(question="Which is a solid?", choices=["rock", "water"], lecture="", solution=""),
        "7": problem(image="image.png", split="train", answer=1),
        "8": problem(question="Which one melts?", choices=["stone", "ice"], split="val", answer=1),
    }


def write_scienceqa(folder: Path, *, below: str = "", problems: dict[str, Any] | None = None) -> Path:
    """ScienceQA with five test problems, one of `train`, one of `val`; pictures below `below`, such as `images`."""
    problems = scienceqa_problems() if problems is None else problems
    folder.mkdir(parents=True, exist_ok=True)
    splits: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for name, one in problems.items():
        splits[one["split"]].append(name)
        if one["image"]:
            colour = one["choices"][one["answer"]] if one["choices"][one["answer"]] in COLOURS else "white"
            render(folder / below / one["split"] / name / one["image"], colour, name)
    splits |= {"trainval": splits["train"] + splits["val"], "minitest": splits["test"][:2]}
    (folder / "problems.json").write_text(json.dumps(problems), encoding="utf-8")
    (folder / "pid_splits.json").write_text(json.dumps(splits), encoding="utf-8")
    return folder


def seed_question(number: int, type_id: int, answer: str = "A", **fields: Any) -> dict[str, Any]:
    """One entry of SEED-Bench about a picture, with the published file's fields."""
    return {
        "answer": answer,
        "choice_a": "red",
        "choice_b": "green",
        "choice_c": "blue",
        "choice_d": "yellow",
        "data_id": f"{1000 + number}_{77000 + number}",
        "data_type": "image",
        "question": f"Which colour has box {number}?",
        "question_id": str(101000 + number),
        "question_type_id": type_id,
    } | fields


def seed_video(number: int, type_id: int) -> dict[str, Any]:
    """One entry about a video."""
    segment = {} if type_id == 10 else {"segment": [1.0, 2.5]}
    return seed_question(number, type_id, data_id=f"P01/{number}.MP4", data_type="video", **segment) | {
        "question_id": f"v{number}"
    }


def write_seed_bench(folder: Path, *, num_of_type: dict[int, int] | None = None, ending: str = "") -> Path:
    """SEED-Bench: `num_of_type[t]` questions of each type (two of each, one video of 10 to 12, unless told).

    The right letters go A, B, C, D, A, ... in the order of the file; the box has the right choice's colour.
    """
    counts = num_of_type or {type_id: 2 if type_id < 10 else 1 for type_id in range(1, 13)}
    types = [type_id for type_id, num in sorted(counts.items()) for _ in range(num)]
    questions = [
        seed_question(number, type_id, "ABCD"[number % 4]) if type_id < 10 else seed_video(number, type_id)
        for number, type_id in enumerate(types)
    ]
    for number, question in enumerate(questions):
        if question["data_type"] == "image":
            render(
                folder / "SEED-Bench-image" / (question["data_id"] + ending), COLOURS[number % 4], str(number)
            )
    file = {"questions": questions, "question_type": TYPE_IDS}
    (folder / "SEED-Bench.json").write_text(json.dumps(file), encoding="utf-8")
    return folder


def write_llava_bench(folder: Path, *, num_images: int = 2, prefix: str = "COCO_val2014_") -> Path:
    """The LLaVA test set: three questions about each picture; pictures named as in COCO's archive.

    Its context has captions only for the first picture, and one picture more than is asked about.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{440000 + number:012}.jpg" for number in range(num_images)]
    asked = [
        ("conv", "What colour is the box?"),
        ("detail", "Describe the image."),
        ("complex", "Why is it so?"),
    ]
    questions, answers = [], []
    for number, name in enumerate(names):
        render(folder / "val2014" / (prefix + name), COLOURS[number % len(COLOURS)])
        for category, text in asked:
            key = {"question_id": len(questions)}
            said = f"The box is {COLOURS[number % len(COLOURS)]} ({category})."
            questions.append({**key, "image": name, "text": text, "category": category})
            answers.append({**key, "text": said, "category": category})
    contexts = [_context(number, name) for number, name in enumerate([*names, f"{999:012}.jpg"])]
    for file, values in [
        ("qa90_questions.jsonl", questions),
        ("qa90_gpt4_answer.jsonl", answers),
        ("caps_boxes_coco2014_val_80.jsonl", contexts),
    ]:
        (folder / file).write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return folder


def _context(number: int, name: str) -> dict[str, Any]:
    captions = [f"A box of colour {number % len(COLOURS)}.", "A box on black."]
    boxes = [{"category": "box", "bbox": [0.188, 0.188, 0.812, 0.812]}] if number else []
    return {"id": name.removesuffix(".jpg"), "image": name, "captions": captions, "instances": boxes}
