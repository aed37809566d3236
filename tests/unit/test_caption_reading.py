"""Caption sets in all their forms, and what is wrong with broken ones."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.trainer.captions import reading
from services.trainer.captions.reading import Caption, Refused, read_captions
from services.trainer.captions.records import MAX_CAPTION_CHARACTERS, made_id
from shared.errors import ConfigError, Unprocessable

DIALOGUE = [{"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": "a red bus "}]
LLAVA = {"id": "GCC_1", "image": "GCC_1.jpg", "conversations": DIALOGUE}
FLAT = {"id": 2, "image": "2.jpg", "text": "two dogs"}
WITHOUT_ID = {"image": "3.jpg", "caption": "Café – 猫"}
CAPTIONS = [
    Caption("GCC_1", "GCC_1.jpg", "a red bus"),
    Caption("2", "2.jpg", "two dogs"),
    Caption(made_id("3.jpg", "Café – 猫"), "3.jpg", "Café – 猫"),
]


def written(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def reasons(file: Path) -> list[tuple[int, str | None, str]]:
    return [(one.position, one.id, one.reason) for one in read_captions([file]) if isinstance(one, Refused)]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_json_list_and_json_lines_in_either_form(tmp_path: Path, mark: bytes) -> None:
    records = [LLAVA, FLAT, WITHOUT_ID]
    lines = "\n\n".join(json.dumps(one) for one in records)
    a_list = written(tmp_path, "a.json", mark + b" \n" + json.dumps(records).encode())
    for file in (a_list, written(tmp_path, "a.jsonl", mark + lines.encode())):
        assert list(read_captions([file])) == CAPTIONS


def test_tables_by_their_columns(tmp_path: Path) -> None:
    rows = [
        ["id", "similarity", "IMAGE", "Caption"],
        ["7", "0.3", "7.jpg", 'a "big", red\nbus'],
        ["", "", "8.jpg", "a cat"],
    ]
    expected = [
        Caption("7", "7.jpg", 'a "big", red\nbus'),
        Caption(made_id("8.jpg", "a cat"), "8.jpg", "a cat"),
    ]
    csv_text = 'id,similarity,IMAGE,Caption\r\n7,0.3,7.jpg,"a ""big"", red\nbus"\r\n,,8.jpg,a cat\r\n'
    for name, text in (
        ("a.csv", csv_text),
        ("a.tsv", csv_text.replace(", red", "; red").replace(",", "\t").replace(";", ",")),
    ):
        assert list(read_captions([written(tmp_path, name, text)])) == expected
    columns = {name: [row[at] or None for row in rows[1:]] for at, name in enumerate(rows[0])}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert list(read_captions([tmp_path / "a.parquet"])) == expected


def test_cc3m_has_no_header_and_quotes_that_are_not_paired(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "Train_GCC-training.tsv",
        '"a very typical bus station\thttp://x/1.jpg\na cat\thttp://x/2.jpg\n',
    )
    assert [(one.image, one.text) for one in read_captions([file]) if isinstance(one, Caption)] == [
        ("http://x/1.jpg", '"a very typical bus station'),
        ("http://x/2.jpg", "a cat"),
    ]


def test_an_id_that_is_missing_is_made_from_the_pair_alone(tmp_path: Path) -> None:
    first = written(tmp_path, "a.tsv", "a cat\tu1\na dog\tu2\n")
    second = written(tmp_path, "b.jsonl", '{"url": "u2", "text": "a dog"}\n{"url": "u1", "text": "a cat"}\n')
    ids = [[one.id for one in read_captions([file])] for file in (first, second)]
    assert ids[0] == ids[1][::-1]
    assert len(set(ids[0])) == 2


BROKEN: list[tuple[Any, str | None, str]] = [
    ({**FLAT, "text": None}, "2", "caption is missing"),
    ({**FLAT, "text": " \n"}, "2", "caption is empty"),
    ({**FLAT, "text": ["a"]}, "2", "caption is not text"),
    ({**FLAT, "text": "ab" * MAX_CAPTION_CHARACTERS}, "2", "caption is too long"),
    ({**FLAT, "text": "a\0b"}, "2", "caption has control characters"),
    ({**FLAT, "text": "a\x9db"}, "2", "caption has control characters"),
    ({**FLAT, "image": ""}, "2", "image is empty"),
    ({**FLAT, "image": "\x1b"}, "2", "image has control characters"),
    ({"id": "x", "text": "a"}, "x", "image is missing"),
    ({**FLAT, "id": {}}, None, "id is not text"),
    ({**FLAT, "id": True}, None, "id is not text"),
    ([], None, "record is not an object"),
    ({**LLAVA, "conversations": [*DIALOGUE, *DIALOGUE]}, "GCC_1", "conversation is not one question and its answer"),
    ({**LLAVA, "conversations": None}, "GCC_1", "conversation is not one question and its answer"),
]  # fmt: skip


def test_broken_records_are_refused_and_the_rest_is_read(tmp_path: Path) -> None:
    records = [broken for broken, _, _ in BROKEN]
    expected = [(at, id, reason) for at, (_, id, reason) in enumerate(BROKEN, 2)]
    listed = written(tmp_path, "a.json", json.dumps([LLAVA, *records, FLAT]))
    lines = written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, [LLAVA, *records, FLAT])))
    for file in (listed, lines):
        assert reasons(file) == expected
        assert [one for one in read_captions([file]) if isinstance(one, Caption)] == CAPTIONS[:2]


def test_records_that_are_not_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_RECORD_BYTES", 100)
    good = json.dumps(FLAT).encode()
    half = b'{"image": "a", "text": "\\ud800"}'
    records = [
        good,
        b'{"image": "a", text}',
        b'"' + b"x" * 1000 + b'"',
        b'{"image": "a", "text": "\xff"}',
        half,
        good,
    ]
    lines = written(tmp_path, "a.jsonl", b"\n".join(records))
    for file in (lines, written(tmp_path, "a.json", b"[" + b",".join(records) + b"]")):
        assert reasons(file) == [
            (2, None, "record is not JSON"),
            (3, None, "record is empty or too long"),
            (4, None, "record is not JSON"),
            (5, None, "record is not JSON"),
        ]
        assert sum(isinstance(one, Caption) for one in read_captions([file])) == 2


def test_broken_rows(tmp_path: Path) -> None:
    file = written(
        tmp_path, "a.csv", b'image,text\na,b,c\nb,\xff\nc\n\nd,"' + b"x" * 200_000 + b'"\ne,fine\n'
    )
    assert reasons(file) == [
        (2, None, "row has another number of columns"),
        (3, None, "caption is not valid Unicode"),
        (4, None, "row has another number of columns"),
        (6, None, "row cannot be read"),
    ]
    column = pa.array([b"\xff", b"fine", None], pa.binary()).cast(pa.string(), safe=False)
    pq.write_table(pa.table({"image": ["a", "b", "c"], "text": column}), tmp_path / "a.parquet")
    read = list(read_captions([tmp_path / "a.parquet"]))
    assert [getattr(one, "reason", "read") for one in read] == [
        "caption is not valid Unicode", "read", "caption is missing",
    ]  # fmt: skip


def test_a_list_that_breaks_off_gives_what_it_has_and_says_where(tmp_path: Path) -> None:
    file = written(tmp_path, "a.json", json.dumps([LLAVA, FLAT, LLAVA])[:-30])
    read = []
    with pytest.raises(Unprocessable, match=r"a\.json, item 3: the array does not end"):
        read.extend(read_captions([file]))  # what came before the error stays
    assert read == CAPTIONS[:2]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", "a cat", r"ends in one of \.json, \.jsonl, \.csv, \.tsv, \.parquet"),
        ("a.csv", "a cat,http://x/1.jpg\n", "expected a first line with image or url, caption or text"),
        ("a.csv", "", "expected a first line"),
        ("a.tsv", "a\tb\tc\n", "or two columns without a header"),
    ],
)
def test_a_file_of_no_known_form_is_told_before_any_is_read(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        read_captions([written(tmp_path, "good.json", "[]"), written(tmp_path, name, content)])


def test_a_parquet_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(Unprocessable, match=r"a\.parquet: cannot be read"):
        read_captions([written(tmp_path, "a.parquet", "PAR1")])
    with pytest.raises(ConfigError, match="there is no such file"):
        read_captions([tmp_path / "b.parquet"])
