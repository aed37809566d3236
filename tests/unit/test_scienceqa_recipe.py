"""Fine-tuning on ScienceQA: the shipped recipe, and what of a problem becomes a training line."""

import json
from pathlib import Path

import pytest

from comd.scienceqa import Recipe, read_recipe, write_lines
from services.coordinator.benchmarks.prompts import question_text
from services.coordinator.benchmarks.reading import read_benchmark
from services.trainer.uploads import Upload
from shared.errors import ConfigError
from shared.images import ImageStore
from tests.doubles.official import problem, write_scienceqa

SHIPPED = Path(__file__).parents[2] / "configs" / "scienceqa.toml"


def test_the_shipped_recipe_is_the_default_and_the_papers() -> None:
    recipe = read_recipe(SHIPPED)
    assert recipe == Recipe()
    assert (recipe.epochs, recipe.learning_rate, recipe.batch_size, recipe.warmup_ratio) == (
        6,
        2e-5,
        16,
        0.03,
    )
    assert (recipe.max_length, recipe.adaptation) == (2048, "full")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[fine_tuning]\nepoch = 3", "fine_tuning.epoch: unknown key"),
        ("[fine_tuning]\nepochs = 0", "fine_tuning.epochs: .*greater than or equal to 1, got 0"),
        ("[training]\nepochs = 3", "fine_tuning: Field required"),
        ("[fine_tuning]\n[training]\n", "training: unknown key"),
    ],
)
def test_a_recipe_that_cannot_be_used_names_the_key(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_recipe(file)


def test_a_line_asks_as_the_evaluation_does_and_answers_with_reason_and_letter(tmp_path: Path) -> None:
    problems = {
        "7": problem(image="image.png", split="train", answer=1, hint="Look."),
        "9": problem(
            question="Which one melts?", choices=["stone", "ice"], split="train", answer=1, lecture=""
        ),
        "10": problem(split="test"),
    }
    items = read_benchmark("scienceqa", write_scienceqa(tmp_path / "data", problems=problems), "train")
    store, heard = ImageStore(str(tmp_path / "images")), list[int]()
    write_lines(items, store, tmp_path / "lines.jsonl", heard.append)
    seen, read = (json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines())

    assert (seen["id"], read["id"], heard) == ("7", "9", [2])
    picture, question = seen["messages"][0]["content"]
    sha256 = picture["image_url"]["url"].removeprefix("comd-image:")
    assert store.read(sha256) == (tmp_path / "data" / "train" / "7" / "image.png").read_bytes()
    assert question["text"] == question_text("scienceqa", items[0].content, with_picture=True)
    assert read["messages"][0]["content"] == [
        {"type": "text", "text": question_text("scienceqa", items[1].content, with_picture=False)}
    ]
    assert seen["messages"][1]["content"] == (
        "Light of one wavelength has one colour.\nThe box gives back the light of its own colour.\nThe answer is B."
    )
    assert read["messages"][1]["content"].startswith("The box gives back")
    with (tmp_path / "lines.jsonl").open("rb") as file:
        upload = Upload(file, store.has)
        assert len(list(upload.lines())) == 2
    assert upload.num_text_only == 1
