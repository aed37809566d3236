"""What a tested model is asked, word for word, and what fine-tuning teaches it to answer."""

from pathlib import Path

from services.coordinator.benchmarks.prompts import likelihood_text, question_text, target_text
from services.coordinator.benchmarks.reading import read_benchmark
from services.coordinator.benchmarks.reading_letters import chosen
from shared.types import JsonObject
from tests.doubles import official


def scienceqa(tmp_path: Path) -> dict[str, JsonObject]:
    items = read_benchmark("scienceqa", official.write_scienceqa(tmp_path), "test")
    return {item.name: item.content for item in items}


def test_scienceqa_is_asked_with_its_hint_and_every_choice(tmp_path: Path) -> None:
    contents = scienceqa(tmp_path)
    assert question_text("scienceqa", contents["12"], with_picture=False) == (
        "Which word is a noun?\n"
        "Context: A noun names a thing.\n"
        "(A) run\n(B) blue\n(C) box\n"
        'Choose one, and end with "The answer is X.", where X is its letter.'
    )
    assert "\n(E) Elm\n" in question_text("scienceqa", contents["40"], with_picture=False)


def test_a_picture_left_out_is_spoken_of_only_where_there_is_one(tmp_path: Path) -> None:
    contents = scienceqa(tmp_path)
    unseen = "The picture is not shown"
    assert unseen in question_text("scienceqa", contents["11"], with_picture=False)
    assert unseen not in question_text("scienceqa", contents["11"], with_picture=True)
    assert unseen not in question_text("scienceqa", contents["41"], with_picture=False)


def test_seed_bench_is_asked_for_the_letter_alone(tmp_path: Path) -> None:
    content = read_benchmark("seed-bench", official.write_seed_bench(tmp_path), None)[0].content
    assert question_text("seed-bench", content, with_picture=True) == (
        "Which colour has box 0?\n(A) red\n(B) green\n(C) blue\n(D) yellow\n"
        "Answer with the letter of the right choice alone."
    )
    assert likelihood_text(content) == "Which colour has box 0?"


def test_the_llava_test_set_is_asked_as_it_stands(tmp_path: Path) -> None:
    content = read_benchmark("llava-bench", official.write_llava_bench(tmp_path), None)[1].content
    assert question_text("llava-bench", content, with_picture=True) == "Describe the image."


def test_the_target_is_lecture_solution_and_letter(tmp_path: Path) -> None:
    contents = scienceqa(tmp_path)
    assert target_text(contents["11"]) == (
        "Light of one wavelength has one colour.\n"
        "The box gives back the light of its own colour.\n"
        "The answer is B."
    )
    assert target_text(contents["41"]) == "The answer is A."


def test_what_fine_tuning_teaches_is_read_as_the_right_choice(tmp_path: Path) -> None:
    for content in scienceqa(tmp_path).values():
        assert chosen(target_text(content), content["choices"]) == content["answer"]
