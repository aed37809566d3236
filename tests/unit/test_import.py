"""Import: every record and picture is checked, a bad one never stops the rest, and all of it is said."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from services.coordinator.intake.reading import RECORDS_AT_ONCE, Reading
from services.coordinator.intake.records import Purpose, Refusal, read_record
from shared.errors import Unprocessable
from shared.identity import seed_instruction_id
from shared.images import ImageStore
from shared.types import JsonObject


def talk(*said: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(said)]


def record(name: str = "a", image: str | None = "a.png", *said: str, **more: Any) -> JsonObject:
    return {"id": name, "image": image, "conversations": talk(*(said or ("<image>\nWhat?", "This."))), **more}


def read(folder: Path, content: str | bytes | list[Any], purpose: Purpose = "instruct") -> Reading:
    file = folder / "data.json"
    raw = (
        content
        if isinstance(content, bytes)
        else content
        if isinstance(content, str)
        else json.dumps(content)
    )
    file.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return Reading("set", file, folder, purpose, ImageStore(str(folder / "store")))


def rows_of(reading: Reading) -> list[JsonObject]:
    return [row for batch in reading.batches() for row in batch.rows]


def refused_of(reading: Reading) -> dict[str, str]:
    return {one["record"]: one["reason"] for batch in reading.batches() for one in batch.refused}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(("a.png", "b.png")):
        out = io.BytesIO()
        Image.new("RGB", (8, 8), (number * 90, 0, 0)).save(out, "PNG")
        (tmp_path / name).write_bytes(out.getvalue())
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing more")
    return tmp_path


def test_a_dialogue_becomes_single_turn_instructions() -> None:
    found = read_record(record("7", "a.png", "<image>\nOne?", "1", "Two?", "2", "Three?"), "instruct")
    assert [(turn.number, turn.text, turn.reference) for turn in found.turns] == [
        (0, "One?", None),
        (1, "Two?", None),
        (2, "Three?", None),
    ]


def test_references_are_kept_for_evaluation() -> None:
    assert read_record(record("7", "a.png", "One?\n<image>", " 1 "), "evaluation").turns[0].reference == "1"


@pytest.mark.parametrize(
    ("given", "kind"),
    [({"type": "colour"}, "colour"), ({"category": "complex"}, "reasoning"), ({}, "conversation")],
)
def test_the_task_type_is_the_datas_own_where_it_says_so(given: JsonObject, kind: str) -> None:
    assert read_record(record(**given), "instruct").task_type == kind


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1], "expected an object"),
        ({"image": "a.png", "conversations": talk("q", "a")}, "id: expected"),
        ({"id": "", "conversations": talk("q", "a")}, "id: expected"),
        ({"id": True, "conversations": talk("q", "a")}, "id: expected"),
        ({"id": "x", "image": 3, "conversations": talk("q", "a")}, "image: expected a file name"),
        ({"id": "x", "conversations": []}, "conversations: expected a list"),
        ({"id": "x", "conversations": talk(" <image>\n ", "a")}, "question is empty"),
        ({"id": "x", "conversations": [{"from": "gpt", "value": "a"}]}, "expected {'from': 'human'"),
        ({"id": "x", "conversations": [*talk("q"), *talk("q")]}, "expected {'from': 'gpt'"),
    ],
)
def test_a_broken_record_is_refused_with_its_reason(value: Any, said: str) -> None:
    with pytest.raises(Refusal, match=said):
        read_record(value, "instruct")


def test_a_reference_must_be_there_for_evaluation() -> None:
    with pytest.raises(Refusal, match="expected an answer"):
        read_record(record("x", "a.png", "q?"), "evaluation")


def test_rows_have_hashes_for_ids_and_pictures_by_content(folder: Path) -> None:
    rows = rows_of(read(folder, [record("a", "a.png", "One?", "1", "Two?", "2")]))
    assert [row["id"] for row in rows] == [seed_instruction_id("set", "a", turn) for turn in (0, 1)]
    assert len({row["image"] for row in rows}) == 1
    assert ImageStore(str(folder / "store")).read(rows[0]["image"]) == (folder / "a.png").read_bytes()


def test_what_is_refused_never_stops_the_rest(folder: Path) -> None:
    reading = read(
        folder,
        [
            record("good"),
            record("missing", "nowhere.png"),
            record("broken", "broken.png"),
            record("outside", "../data.json"),
            record("nul", "a\0.png"),
            "nonsense",
            record("last", "b.png"),
        ],
    )
    assert [row["dialogue"] for row in rows_of(reading)] == ["good", "last"]
    said = refused_of(reading)
    assert "cannot be read" in said["missing"]
    assert "no file has such a name" in said["nul"]
    assert "not a readable" in said["broken"]
    assert "outside the image folder" in said["outside"]
    assert "expected an object" in said["#6"]


def test_records_are_read_on_from_where_they_were(folder: Path) -> None:
    reading = read(folder, [record(str(number)) for number in range(RECORDS_AT_ONCE * 2 + 5)])
    batches = list(reading.batches())
    assert [batch.num_records for batch in batches] == [RECORDS_AT_ONCE, RECORDS_AT_ONCE, 5]
    assert list(reading.batches(skip=RECORDS_AT_ONCE)) == batches[1:]
    assert batches[-1].bytes_read == reading.file.stat().st_size


def test_questions_are_equal_whatever_their_case_and_spaces(folder: Path) -> None:
    rows = rows_of(read(folder, [record("a"), record("b", "a.png", " what? ", "x"), record("c", "b.png")]))
    assert rows[0]["asked"] == rows[1]["asked"] != rows[2]["asked"]


def test_a_picture_of_the_store_may_be_named_by_its_sha256(folder: Path) -> None:
    (row,) = rows_of(read(folder, [record("a")]))
    assert rows_of(read(folder, [record("b", row["image"])]))[0]["image"] == row["image"]
    assert "cannot be read" in refused_of(read(folder, [record("c", "0" * 64)]))["c"]


def test_json_lines_are_read_line_by_line(folder: Path) -> None:
    lines = [json.dumps(record("a")), "{broken", "", json.dumps(record("b", "b.png"))]
    reading = read(folder, "\ufeff" + "\n".join(lines))
    assert [row["dialogue"] for row in rows_of(reading)] == ["a", "b"]
    assert refused_of(reading).keys() == {"#2"}


def test_a_list_that_is_not_json_is_refused_whole(folder: Path) -> None:
    with pytest.raises(Unprocessable, match=r"data\.json is not JSON.*nothing was imported"):
        rows_of(read(folder, "[{]"))


@pytest.mark.parametrize("content", ["", " \n", "[]", "\n\n [ ]\n"])
def test_an_empty_file_has_no_rows(folder: Path, content: str) -> None:
    assert rows_of(read(folder, content)) == []


def test_the_content_hash_knows_rows_and_pictures(folder: Path) -> None:
    def content(*records: JsonObject) -> int:
        return sum(batch.content for batch in read(folder, list(records)).batches())

    assert content(record("a")) == content(record("a")) > 0
    assert content(record("a")) != content(record("a", "b.png"))
    assert content(record("a"), record("b")) == content(record("b"), record("a"))


def test_a_dialogue_without_a_picture_has_a_key_of_its_own(folder: Path) -> None:
    rows = rows_of(read(folder, [record("a", None, "1?", "a", "2?", "b"), record("b", None, "1?", "a")]))
    assert [row["image"].startswith("text:") for row in rows] == [True] * 3
    assert rows[0]["image"] == rows[1]["image"] != rows[2]["image"]
