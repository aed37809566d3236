"""Reads the LLaVA test set on COCO (github.com/haotian-liu/LLaVA): 30 pictures, 90 questions. In: a folder with
questions, reference answers and context as JSON lines, and pictures of COCO's val2014. Out: items.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from services.coordinator.benchmarks.faults import AnyRecord, Faults, FileRecord
from services.coordinator.benchmarks.files import json_lines, picture, picture_folder
from services.coordinator.benchmarks.items import Item, Reading

PUBLISHED = (
    "https://github.com/haotian-liu/LLaVA (playground/data/coco2014_val_qa_eval, llava/eval/table) and "
    "http://images.cocodataset.org/zips/val2014.zip"
)
QUESTIONS = ["qa90_questions.jsonl", "questions.jsonl"]
ANSWERS = ["qa90_gpt4_answer.jsonl", "answers.jsonl", "reference_answers.jsonl"]
CONTEXTS = ["caps_boxes_coco2014_val_80.jsonl", "context.jsonl"]
FOLDERS = ["val2014", "images", "coco2014_val"]
COCO_PREFIX = "COCO_val2014_"
GROUPS = {"conv": "conversation", "complex": "reasoning", "detail": "detail"}

Text = Annotated[str, Field(min_length=1)]


class Question(FileRecord):
    question_id: int | str
    image: Text
    text: Text
    category: Literal["conv", "complex", "detail"]


class Answer(FileRecord):
    question_id: int | str
    text: Text


class Instance(FileRecord):
    category: Text
    bbox: Annotated[list[float], Field(min_length=4, max_length=4)]


class Context(FileRecord):
    image: Text
    captions: Annotated[list[Text], Field(min_length=1)]
    instances: list[Instance]


def read(folder: Path, split: str | None) -> Reading:
    """All questions with their reference answers and contexts. Raises Unprocessable."""
    faults = Faults(folder, PUBLISHED)
    if split is not None:
        faults.add(f"the LLaVA test set has no splits, got split {split!r}; leave it out")
    questions = _records(Question, json_lines(folder, QUESTIONS, faults), faults)
    answers = _records(Answer, json_lines(folder, ANSWERS, faults), faults)
    contexts = _records(Context, json_lines(folder, CONTEXTS, faults), faults)
    pictures = picture_folder(folder, FOLDERS, faults)
    faults.repeated((str(one.question_id) for one in questions), "question")
    faults.repeated((str(one.question_id) for one in answers), "reference answer")
    faults.repeated((_plain(one.image) for one in contexts), "context of")
    faults.stop()
    answer_of = {str(one.question_id): one.text for one in answers}
    context_of = {_plain(one.image): context_text(one) for one in contexts}
    items = [_item(question, answer_of, context_of, pictures, faults) for question in questions]
    faults.stop()
    return Reading(items)


def context_text(context: Context) -> str:
    """Captions and boxes as a judge without the picture reads them; a box is left, top, right, bottom in [0, 1]."""
    boxes = [f"{one.category}: [{', '.join(f'{edge:g}' for edge in one.bbox)}]" for one in context.instances]
    return "\n".join(context.captions) + ("\n\n" + "\n".join(boxes) if boxes else "")


def _records(form: type[AnyRecord], lines: list[tuple[str, Any]], faults: Faults) -> list[AnyRecord]:
    return [record for place, value in lines if (record := faults.record(form, value, place))]


def _plain(image: str) -> str:
    """COCO's archive has a prefix before the number, the questions have none."""
    return image.removeprefix(COCO_PREFIX)


def _item(
    question: Question, answer_of: dict[str, str], context_of: dict[str, str], pictures: Path, faults: Faults
) -> Item:
    name = str(question.question_id)
    plain = _plain(question.image)
    path = picture([pictures], [plain, COCO_PREFIX + plain])
    if path is None:
        faults.add(f"question {name}: no picture {pictures.name}/{question.image}")
    if name not in answer_of:
        faults.add(f"question {name}: no reference answer")
    if plain not in context_of:
        faults.add(f"question {name}: no context of {question.image}")
    content = {
        "question": question.text,
        "choices": [],
        "answer": None,
        "groups": [GROUPS[question.category]],
        "reference": answer_of.get(name),
        "context": context_of.get(plain),
        "category": question.category,
    }
    return Item(name, path, content)
