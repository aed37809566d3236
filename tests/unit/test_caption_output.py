"""The selection as LLaVA's caption JSON and as Parquet."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from services.trainer.captions.output import appearing, write_llava, write_parquet
from services.trainer.llava import to_chat
from services.trainer.message import Fault
from tests.caption_work import make_work

CAPTIONS = {f"c{number:02d}": ["a dog", "größe 🐕"] if number % 2 else ["a cat"] for number in range(20)}


def test_llavas_list_has_a_record_for_each_pair_in_the_inputs_order(tmp_path: Path) -> None:
    work = make_work(tmp_path / "work", CAPTIONS)
    write_llava(work, tmp_path / "new" / "chat.json", "What is it?")
    records = json.loads((tmp_path / "new" / "chat.json").read_text())
    assert [record["id"] for record in records] == list(CAPTIONS)
    assert records[1] == {
        "id": "c01",
        "image": "c01.jpg",
        "conversations": [
            {"from": "human", "value": "<image>\nWhat is it?"},
            {"from": "gpt", "value": "a dog and größe 🐕"},
        ],
    }


def test_the_pictures_place_may_be_said_and_the_trainer_reads_the_record(tmp_path: Path) -> None:
    work = make_work(tmp_path / "work", CAPTIONS)
    write_llava(work, tmp_path / "chat.json", "What is it?\n<image>")
    record = json.loads((tmp_path / "chat.json").read_text())[0]
    assert record["conversations"][0]["value"] == "What is it?\n<image>"
    faults: list[Fault] = []
    chat = to_chat({**record, "image": "ab" * 32}, faults)
    assert (faults, chat is not None) == ([], True)


def test_nothing_selected_is_an_empty_list(tmp_path: Path) -> None:
    write_llava(make_work(tmp_path / "work", {"c": ["a dog"]}), tmp_path / "chat.json", "?")
    assert json.loads((tmp_path / "chat.json").read_text()) == []


def test_parquet_has_the_reason_of_each_choice(tmp_path: Path) -> None:
    write_parquet(make_work(tmp_path / "work", CAPTIONS), tmp_path / "chosen.parquet")
    rows = pq.read_table(tmp_path / "chosen.parquet").to_pylist()
    assert len(rows) == 20
    assert {(row["phrase"], row["frequency"]) for row in rows} == {("a cat", 10), ("a dog", 10)}


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    out.write_text("the old one")

    def fail() -> None:
        with appearing(out) as draft:
            draft.write_text("half of the n")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["the old one"]
