"""Problems about colours in ScienceQA's official layout, and our own score of a model on them.

In: a folder; an endpoint. Out: what other evaluation tools are given of the same problems, and what they must find.
"""

import base64
from pathlib import Path

import openai

from services.coordinator.benchmarks.items import Item
from services.coordinator.benchmarks.prompts import question_text
from services.coordinator.benchmarks.reading import read_benchmark
from services.coordinator.benchmarks.reading_letters import chosen
from services.coordinator.benchmarks.scores import Mark, scores
from shared.data_urls import sound_data_url
from tests.doubles.colour_engine import KNOWN
from tests.doubles.official import problem, write_scienceqa

NUM_PROBLEMS = 12
SUBJECTS = ("natural science", "social science", "language science")


def colour_problems(folder: Path) -> list[Item]:
    """Test problems with three or four choices, some with a hint; every fourth has no picture."""
    write_scienceqa(folder, problems={str(number): _problem(number) for number in range(NUM_PROBLEMS)})
    return read_benchmark("scienceqa", folder, "test")


def our_score(items: list[Item], client: openai.OpenAI, model: str) -> float:
    """Per cent right, by our own wording, reading and sums."""
    marks = []
    for number, item in enumerate(items):
        text = question_text("scienceqa", item.content, with_picture=item.picture is not None)
        parts = (
            []
            if item.picture is None
            else [{"type": "image_url", "image_url": {"url": data_url(item.picture)}}]
        )
        said = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": [*parts, {"type": "text", "text": text}]}],  # type: ignore[list-item, misc]
            temperature=0,
        )
        answer = chosen(said.choices[0].message.content or "", item.content["choices"])
        marks.append(Mark(number, tuple(item.content["groups"]), float(answer == item.content["answer"])))
    value = scores("scienceqa", marks, 0)["AVG"].value
    assert value is not None
    return value


def data_url(picture: Path) -> str:
    return sound_data_url("data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode())


def _problem(number: int) -> dict[str, object]:
    choices = [*KNOWN[number % 4 :], *KNOWN[: number % 4]][: 3 + number % 2]
    return problem(
        choices=choices,
        answer=number % 3,
        hint="Look at the middle." if number % 5 == 0 else "",
        image=None if number % 4 == 3 else "image.png",
        subject=SUBJECTS[number % 3],
    )
