"""The official layouts are read as published, and what is missing or malformed in them is named."""

from pathlib import Path
from typing import Any

import pytest

from services.coordinator.benchmarks.items import COLUMNS, Item, Kind
from services.coordinator.benchmarks.reading import read, read_benchmark
from shared.errors import Unprocessable
from tests.doubles import official


def by_name(items: list[Item]) -> dict[str, Item]:
    return {item.name: item for item in items}


def refusal(kind: Kind, folder: Path, split: str | None = None) -> str:
    with pytest.raises(Unprocessable) as raised:
        read_benchmark(kind, folder, split)
    return raised.value.message


def test_scienceqa_with_every_oddity(tmp_path: Path) -> None:
    items = read_benchmark("scienceqa", official.write_scienceqa(tmp_path / "s"), None)
    assert [item.name for item in items] == ["3", "11", "12", "40", "41"]
    assert [item.content["answer"] for item in items] == [0, 1, 2, 4, 0]
    assert [item.content["groups"] for item in items] == [
        ["NAT", "IMG", "G1-6"],
        ["NAT", "TXT", "IMG", "G1-6"],
        ["LAN", "TXT", "G7-12"],
        ["SOC", "NO", "G7-12"],
        ["NAT", "NO", "G1-6"],
    ]
    assert [item.picture and item.picture.relative_to(tmp_path / "s") for item in items] == [
        Path("test/3/image.png"),
        Path("test/11/image.png"),
        None,
        None,
        None,
    ]
    assert items[3].content["choices"] == ["Arl", "Bex", "Cly", "Dov", "Elm"]
    assert items[1].content["hint"] == "The box is a plant."
    assert set(items[0].content) == {
        "question", "choices", "answer", "groups", "hint", "lecture", "solution",
    }  # fmt: skip


def test_scienceqa_with_pictures_below_images(tmp_path: Path) -> None:
    items = read_benchmark("scienceqa", official.write_scienceqa(tmp_path, below="images"), "train")
    assert [item.picture for item in items] == [tmp_path / "images/train/7/image.png"]


def test_a_mini_split_finds_its_pictures_in_the_folder_of_the_whole(tmp_path: Path) -> None:
    items = read_benchmark("scienceqa", official.write_scienceqa(tmp_path), "minitest")
    assert [item.picture for item in items] == [tmp_path / f"test/{name}/image.png" for name in ("3", "11")]


def test_seed_bench_reads_the_nine_types_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    found = read("seed-bench", official.write_seed_bench(tmp_path))
    types = [item.content["groups"][0] for item in found.items]
    assert types == [name for name in COLUMNS["seed-bench"][:-1] for _ in range(2)]
    assert found.notes == ("3 questions about videos left out",)
    assert [item.content["answer"] for item in found.items[:5]] == [0, 1, 2, 3, 0]
    assert found.items[0].content["choices"] == ["red", "green", "blue", "yellow"]
    assert found.items[0].picture == tmp_path / "SEED-Bench-image/1000_77000"


def test_seed_bench_pictures_may_have_got_an_ending(tmp_path: Path) -> None:
    items = read_benchmark("seed-bench", official.write_seed_bench(tmp_path, ending=".jpg"), None)
    assert items[0].picture == tmp_path / "SEED-Bench-image/1000_77000.jpg"


def test_the_files_own_names_of_types_hold(tmp_path: Path) -> None:
    """The authors once corrected which ids two of the types have."""

    def swap(file: dict[str, Any]) -> None:
        file["question_type"] |= {"Instance Location": 3, "Instance Attributes": 4}

    official.edit_json(official.write_seed_bench(tmp_path) / "SEED-Bench.json", swap)
    items = read_benchmark("seed-bench", tmp_path, None)
    assert items[4].content["groups"] == ["Instance Location"]


def test_a_count_may_be_a_number(tmp_path: Path) -> None:
    def edit(file: dict[str, Any]) -> None:
        file["questions"][0] |= {"choice_a": 1, "choice_b": 2, "question_id": 7}

    official.edit_json(official.write_seed_bench(tmp_path) / "SEED-Bench.json", edit)
    item = read_benchmark("seed-bench", tmp_path, None)[0]
    assert (item.name, item.content["choices"][:2]) == ("7", ["1", "2"])


@pytest.mark.parametrize("prefix", ["", "COCO_val2014_"])
def test_llava_bench_with_cocos_names_of_pictures(tmp_path: Path, prefix: str) -> None:
    items = read_benchmark("llava-bench", official.write_llava_bench(tmp_path, prefix=prefix), None)
    assert [item.name for item in items] == ["0", "1", "2", "3", "4", "5"]
    assert [item.content["groups"] for item in items[:3]] == [["conversation"], ["detail"], ["reasoning"]]
    assert items[3].picture == tmp_path / f"val2014/{prefix}000000440001.jpg"
    assert items[3].content["reference"] == "The box is green (conv)."
    assert items[0].content["context"] == "A box of colour 0.\nA box on black."
    assert items[3].content["context"] == (
        "A box of colour 1.\nA box on black.\n\nbox: [0.188, 0.188, 0.812, 0.812]"
    )
    assert (items[0].content["choices"], items[0].content["answer"]) == ([], None)


def test_llava_bench_with_plain_file_names(tmp_path: Path) -> None:
    official.write_llava_bench(tmp_path)
    for published, plain in [
        ("qa90_questions.jsonl", "questions.jsonl"),
        ("qa90_gpt4_answer.jsonl", "answers.jsonl"),
        ("caps_boxes_coco2014_val_80.jsonl", "context.jsonl"),
        ("val2014", "images"),
    ]:
        (tmp_path / published).rename(tmp_path / plain)
    assert len(read_benchmark("llava-bench", tmp_path, None)) == 6


def test_the_doubles_have_the_published_fields() -> None:
    assert set(official.problem()) == {
        "question", "choices", "answer", "hint", "image", "task", "grade", "subject", "topic", "category", "skill",
        "lecture", "solution", "split",
    }  # fmt: skip
    fields = {
        "answer", "choice_a", "choice_b", "choice_c", "choice_d", "data_id", "data_type", "question", "question_id",
        "question_type_id",
    }  # fmt: skip
    assert set(official.seed_question(1, 1)) == fields
    assert set(official.seed_video(1, 11)) == {*fields, "segment"}


@pytest.mark.parametrize(
    ("kind", "write", "files"),
    [
        ("scienceqa", official.write_scienceqa, ["problems.json", "pid_splits.json"]),
        ("seed-bench", official.write_seed_bench, ["SEED-Bench.json"]),
        (
            "llava-bench",
            official.write_llava_bench,
            ["qa90_questions.jsonl", "qa90_gpt4_answer.jsonl", "caps_boxes_coco2014_val_80.jsonl"],
        ),
    ],
)
def test_a_missing_empty_or_broken_file_is_named(
    tmp_path: Path, kind: Kind, write: Any, files: list[str]
) -> None:
    for number, name in enumerate(files):
        folder = write(tmp_path / str(number))
        (folder / name).write_text("{", encoding="utf-8")
        assert f"{name}" in refusal(kind, folder)
        assert "not JSON" in refusal(kind, folder)
        (folder / name).write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")
        assert f"{name} is a pointer of Git LFS" in refusal(kind, folder)
        (folder / name).write_text("\n", encoding="utf-8")
        assert f"{name} is empty" in refusal(kind, folder)
        (folder / name).unlink()
        assert f"no file {name}" in refusal(kind, folder)
        assert "published at http" in refusal(kind, folder)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    assert "is not a folder" in refusal("scienceqa", tmp_path / "nowhere")


def test_missing_folders_of_pictures_are_named(tmp_path: Path) -> None:
    (official.write_seed_bench(tmp_path / "b") / "SEED-Bench-image").rename(tmp_path / "elsewhere")
    assert "no folder SEED-Bench-image or" in refusal("seed-bench", tmp_path / "b")
    (official.write_llava_bench(tmp_path / "l") / "val2014").rename(tmp_path / "there")
    assert "no folder val2014 or" in refusal("llava-bench", tmp_path / "l")


@pytest.mark.parametrize(
    ("fields", "finding"),
    [
        ({"choices": ["rock"]}, "problem 3: choices: List should have at least 2 items"),
        ({"choices": "rock, water"}, "problem 3: choices: Input should be a valid list, got 'rock, water'"),
        ({"choices": ["rock", ""]}, "problem 3: choices.1: String should have at least 1 character"),
        ({"answer": 2}, "problem 3: answer is 2, but there are 2 choices"),
        ({"answer": -1}, "problem 3: answer: Input should be greater than or equal to 0, got -1"),
        ({"answer": "0"}, "problem 3: answer: Input should be a valid integer, got '0'"),
        ({"subject": "history"}, "problem 3: subject:"),
        ({"grade": "grade13"}, "problem 3: grade:"),
        ({"hint": None}, "problem 3: hint: Input should be a valid string, got None"),
        ({"question": ""}, "problem 3: question:"),
        ({"image": "other.png"}, "problem 3: no picture test/3/other.png, there or below images"),
        ({"image": "../../../../etc/passwd"}, "problem 3: no picture"),
    ],
)
def test_a_malformed_problem_is_named(tmp_path: Path, fields: dict[str, Any], finding: str) -> None:
    folder = official.write_scienceqa(tmp_path)
    official.edit_json(folder / "problems.json", lambda problems: problems["3"].update(fields))
    assert finding in refusal("scienceqa", folder)


def test_a_missing_field_is_named_and_another_is_let_be(tmp_path: Path) -> None:
    folder = official.write_scienceqa(tmp_path)
    official.edit_json(folder / "problems.json", lambda problems: problems["3"].update(note="new"))
    assert len(read_benchmark("scienceqa", folder, None)) == 5
    official.edit_json(folder / "problems.json", lambda problems: problems["3"].pop("lecture"))
    assert "problem 3: lecture: Field required" in refusal("scienceqa", folder)


def test_splits_are_checked(tmp_path: Path) -> None:
    folder = official.write_scienceqa(tmp_path)
    assert "no ids of split 'dev'; it has train, val, test, trainval, minitest" in refusal(
        "scienceqa", folder, "dev"
    )
    official.edit_json(folder / "pid_splits.json", lambda splits: splits["test"].extend(["99", "3"]))
    said = refusal("scienceqa", folder)
    assert "problems.json has no problem 99, which pid_splits.json names" in said
    assert "pid_splits.json, test: 3 is there 2 times" in said


def test_only_the_chosen_splits_problems_are_checked(tmp_path: Path) -> None:
    folder = official.write_scienceqa(tmp_path)
    (folder / "train/7/image.png").unlink()
    assert len(read_benchmark("scienceqa", folder, "test")) == 5
    assert "problem 7: no picture" in refusal("scienceqa", folder, "train")


def test_the_first_five_findings_are_named_and_all_are_counted(tmp_path: Path) -> None:
    folder = official.write_seed_bench(tmp_path)
    for number in range(7):
        (folder / f"SEED-Bench-image/{1000 + number}_{77000 + number}").unlink()
    said = refusal("seed-bench", folder)
    assert said.count("no picture") == 5
    assert "question 101004: no picture SEED-Bench-image/1004_77004; and 2 more (7 in all)" in said


@pytest.mark.parametrize(
    ("fields", "finding"),
    [
        ({"answer": "E"}, "question 101000: answer: Input should be 'A', 'B', 'C' or 'D', got 'E'"),
        ({"choice_c": None}, "question 101000: choice_c: Input should be a valid string, got None"),
        ({"question_type_id": 10}, "question 101000: question_type_id 10 is none of pictures"),
        ({"data_type": "Single Image"}, "question 101000: data_type: Input should be 'image'"),
        ({"data_id": "../SEED-Bench.json"}, "question 101000: no picture"),
        ({"question_id": "101001"}, "question 101001 is there 2 times"),
    ],
)
def test_a_malformed_question_is_named(tmp_path: Path, fields: dict[str, Any], finding: str) -> None:
    folder = official.write_seed_bench(tmp_path)
    official.edit_json(folder / "SEED-Bench.json", lambda file: file["questions"][0].update(fields))
    assert finding in refusal("seed-bench", folder)


def test_what_is_no_question_is_named(tmp_path: Path) -> None:
    folder = official.write_seed_bench(tmp_path, num_of_type={10: 2})
    (folder / "SEED-Bench-image").mkdir()
    assert "none of its questions is about a picture" in refusal("seed-bench", folder)
    official.edit_json(folder / "SEED-Bench.json", lambda file: file.update(questions=[3]))
    assert "question 3: Input should be a valid dictionary" in refusal("seed-bench", folder)
    official.edit_json(folder / "SEED-Bench.json", lambda file: file.update(questions={}, question_type=[]))
    assert "SEED-Bench.json: questions: Input should be a valid list" in refusal("seed-bench", folder)
    assert "SEED-Bench.json: question_type: Input should be a valid dictionary" in refusal(
        "seed-bench", folder
    )


def test_splits_are_refused_where_there_are_none(tmp_path: Path) -> None:
    assert "has no splits" in refusal("seed-bench", official.write_seed_bench(tmp_path / "b"), "test")
    assert "has no splits" in refusal("llava-bench", official.write_llava_bench(tmp_path / "l"), "test")


def test_the_llava_test_set_is_checked_across_its_files(tmp_path: Path) -> None:
    folder = official.write_llava_bench(tmp_path)
    official.edit_lines(folder / "qa90_gpt4_answer.jsonl", lambda answers: answers.pop(1))
    official.edit_lines(folder / "caps_boxes_coco2014_val_80.jsonl", lambda contexts: contexts.pop(1))
    (folder / "val2014/COCO_val2014_000000440000.jpg").unlink()
    said = refusal("llava-bench", folder)
    assert "question 0: no picture val2014/000000440000.jpg" in said
    assert "question 1: no reference answer" in said
    assert "question 3: no context of 000000440001.jpg" in said
    assert "(7 in all)" in said


def test_the_llava_test_sets_lines_are_checked(tmp_path: Path) -> None:
    folder = official.write_llava_bench(tmp_path)

    def spoil(questions: list[Any]) -> None:
        questions[0]["category"] = "other"
        questions[1]["text"] = 3
        questions[3]["question_id"] = 2
        questions.append([])

    official.edit_lines(folder / "qa90_questions.jsonl", spoil)
    said = refusal("llava-bench", folder)
    assert "qa90_questions.jsonl line 1: category: Input should be 'conv', 'complex' or 'detail'" in said
    assert "qa90_questions.jsonl line 2: text: Input should be a valid string, got 3" in said
    assert "qa90_questions.jsonl line 7: Input should be a valid dictionary" in said
    assert "question 2 is there 2 times" in said


@pytest.mark.parametrize("kind", ["scienceqa", "seed-bench", "llava-bench"])
def test_items_count_in_columns_of_their_table(tmp_path: Path, kind: Kind) -> None:
    write = {
        "scienceqa": official.write_scienceqa,
        "seed-bench": official.write_seed_bench,
        "llava-bench": official.write_llava_bench,
    }
    items = read_benchmark(kind, write[kind](tmp_path), None)
    groups = {group for item in items for group in item.content["groups"]}
    assert groups == set(COLUMNS[kind][:-1])
    assert by_name(items).keys() == {item.name for item in items}
