"""Reads ScienceQA as its authors publish it (github.com/lupantech/ScienceQA). In: a folder with `problems.json`,
`pid_splits.json` and pictures at `{split}/{id}/image.png`, there or below `images/`. Out: one split's items.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from services.coordinator.benchmarks.faults import Faults, FileRecord
from services.coordinator.benchmarks.files import json_object, picture
from services.coordinator.benchmarks.items import LETTERS, Item, Reading
from shared.types import JsonObject

PUBLISHED = "https://github.com/lupantech/ScienceQA (data/scienceqa and tools/download.sh)"
DEFAULT_SPLIT = "test"
SUBJECTS = {"natural science": "NAT", "social science": "SOC", "language science": "LAN"}
LAST_LOW_GRADE = 6

Text = Annotated[str, Field(min_length=1)]


class Problem(FileRecord):
    """One value of `problems.json`, as far as it is used."""

    question: Text
    choices: Annotated[list[Text], Field(min_length=2, max_length=len(LETTERS))]
    answer: Annotated[int, Field(ge=0)]
    hint: str
    image: str | None
    subject: Literal["natural science", "social science", "language science"]
    grade: Annotated[str, Field(pattern=r"^grade([1-9]|1[0-2])$")]
    lecture: str
    solution: str
    split: Text

    @model_validator(mode="after")
    def _the_answer_is_a_choice(self) -> "Problem":
        if self.answer >= len(self.choices):
            raise ValueError(f"answer is {self.answer}, but there are {len(self.choices)} choices")
        return self


def read(folder: Path, split: str | None) -> Reading:
    """The split's items, in its order. Raises Unprocessable."""
    faults = Faults(folder, PUBLISHED)
    problems = json_object(folder, "problems.json", faults)
    splits = json_object(folder, "pid_splits.json", faults)
    faults.stop()
    ids = _ids(splits, split or DEFAULT_SPLIT, faults)
    items = [item for name in ids if (item := _item(folder, name, problems, faults))]
    faults.stop()
    return Reading(items)


def _ids(splits: JsonObject, split: str, faults: Faults) -> list[str]:
    listed = splits.get(split)
    if not isinstance(listed, list) or not listed:
        faults.add(f"pid_splits.json has no ids of split {split!r}; it has {', '.join(splits) or 'none'}")
        return []
    ids = [str(one) for one in listed]
    faults.repeated(ids, f"pid_splits.json, {split}:")
    return ids


def _item(folder: Path, name: str, problems: JsonObject, faults: Faults) -> Item | None:
    if name not in problems:
        faults.add(f"problems.json has no problem {name}, which pid_splits.json names")
        return None
    if (problem := faults.record(Problem, problems[name], f"problem {name}")) is None:
        return None
    path = _picture(folder, name, problem, faults) if problem.image else None
    kept = problem.model_dump(include={"question", "choices", "answer", "hint", "lecture", "solution"})
    return Item(name, path, {**kept, "groups": groups(problem)})


def _picture(folder: Path, name: str, problem: Problem, faults: Faults) -> Path | None:
    # by the problem's own split: the splits `minitest`, `trainval` and the like have no folders of their own
    wanted = f"{problem.split}/{name}/{problem.image}"
    path = picture([folder, folder / "images"], [wanted])
    if path is None:
        faults.add(f"problem {name}: no picture {wanted}, there or below images")
    return path


def groups(problem: Problem) -> list[str]:
    """The columns of the authors' table: subject, context (text and picture overlap), grade."""
    context = ["TXT"] * bool(problem.hint) + ["IMG"] * bool(problem.image)
    low = int(problem.grade.removeprefix("grade")) <= LAST_LOW_GRADE
    return [SUBJECTS[problem.subject], *(context or ["NO"]), "G1-6" if low else "G7-12"]
