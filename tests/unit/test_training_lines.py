"""A caption file on its way to the trainer: its lines, its pictures in the store, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from comd.training_lines import write_lines
from services.trainer.uploads import Upload
from shared.errors import ConfigError
from shared.images import ImageStore
from tests.tiny_student import picture


def record(name: str, image: str | None = None, caption: str = "a red thing") -> dict[str, Any]:
    turns = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": caption}]
    return {"id": name, "image": image or f"{name}.png", "conversations": turns}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(picture(number * 10))
    (folder / "torn.png").write_bytes(picture(9)[:60])
    return folder


def written(tmp_path: Path, images: Path, records: list[Any]) -> tuple[list[Any], Any, ImageStore]:
    store, seen = ImageStore(str(tmp_path / "store")), list[int]()
    (tmp_path / "captions.json").write_text(json.dumps(records))
    told = write_lines(tmp_path / "captions.json", images, store, tmp_path / "lines.jsonl", seen.append)
    assert seen[-1] == len(records)
    return [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()], told, store


def test_a_line_a_pair_and_every_picture_in_the_store(tmp_path: Path, images: Path) -> None:
    records = [record("0"), record("1"), record("other", "1.png", "not blue"), record("2")]
    lines, told, store = written(tmp_path, images, records)
    assert [line["id"] for line in lines] == ["0", "1", "other", "2"]
    assert (told.num_lines, told.num_refused) == (4, 0)
    question, answer = lines[2]["messages"]
    url = question["content"][0]["image_url"]["url"]
    assert store.read(url.removeprefix("comd-image:")) == picture(10)
    assert question["content"][1] == {"type": "text", "text": "What is it?"}
    assert answer == {"role": "assistant", "content": "not blue"}


def test_the_trainer_takes_the_lines(tmp_path: Path, images: Path) -> None:
    _, _, store = written(tmp_path, images, [record("0"), record("1")])
    with (tmp_path / "lines.jsonl").open("rb") as file:
        upload = Upload(file, store.has)
        assert len(list(upload.lines())) == 2
    assert (upload.num_records, upload.num_text_only) == (2, 0)


def test_what_cannot_be_used_is_named_and_left_out(tmp_path: Path, images: Path) -> None:
    records = [
        record("0"),
        record("0", "1.png"),
        record("lost"),
        record("torn"),
        {"id": 5},
        record("2", None, " "),
    ]
    lines, told, _ = written(tmp_path, images, records)
    assert [line["id"] for line in lines] == ["0"]
    reasons = {item["record"]: item["reason"] for item in told.refused}
    assert told.num_refused == 5
    assert reasons["0"] == "duplicate id"
    assert "cannot be read" in reasons["lost"]
    assert "not a readable" in reasons["torn"]


def test_a_file_without_a_usable_record_says_what_was_expected(tmp_path: Path, images: Path) -> None:
    with pytest.raises(ConfigError, match=r"comd captions select.*cannot be read"):
        written(tmp_path, images, [record("lost")])
