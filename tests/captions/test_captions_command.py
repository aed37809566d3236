"""`comd captions select` from raw files to the selection and its report, with a real spaCy pipeline and DuckDB."""

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from comd.cli import app
from services.trainer.captions import select_captions
from tests.caption_grammar import pipeline_folder, sentences

NUM_CAPTIONS, NUM_SENTENCES = 25_000, 500  # each sentence is parsed once a part, so this is quick
BROKEN = [
    {"id": "b1", "image": "0.jpg", "caption": " "},
    {"id": "s3", "image": "9.jpg", "caption": "again"},
    7,
]
RULES = ["--min-frequency", "3", "--cap", "40", "--processes", "1"]


@dataclass(frozen=True)
class Place:
    folder: Path
    raw: Path

    def words(self, out: str, *more: str) -> list[str]:
        pipeline = ["--pipeline", str(pipeline_folder())]
        return [
            "captions",
            "select",
            str(self.raw),
            "--out",
            str(self.folder / out),
            *pipeline,
            *RULES,
            *more,
        ]

    def comd(self, out: str, *more: str) -> Any:
        """What the command prints with --json."""
        told = CliRunner().invoke(app, [*self.words(out, *more), "--json"], catch_exceptions=False)
        assert told.exit_code == 0, told.output
        return json.loads(told.stdout)

    def rows(self, file: str) -> list[dict[str, Any]]:
        found = sorted(self.folder.glob(file))
        return [row for one in found for row in pq.read_table(one).to_pylist()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("captions")
    texts = [sentence.text for sentence in islice(sentences(5), NUM_SENTENCES)]
    records: list[Any] = [
        {"id": f"s{n}", "image": f"{n}.jpg", "caption": texts[n * n % NUM_SENTENCES]}
        for n in range(NUM_CAPTIONS)
    ]
    records[NUM_CAPTIONS // 2 : NUM_CAPTIONS // 2] = BROKEN
    (folder / "raw.json").write_text(json.dumps(records))
    return Place(folder, folder / "raw.json")


@pytest.fixture(scope="module")
def facts(place: Place) -> dict[str, Any]:
    """Of the selection `chat.json`, made without trouble."""
    return dict(place.comd("chat.json"))


def test_the_selection_is_the_algorithms_and_nothing_is_dropped_in_silence(
    place: Place, facts: dict[str, Any]
) -> None:
    read = place.rows("chat.json.work/captions/*.parquet")
    unique = {row["id"]: row for row in reversed(read)}  # of equal ids the first
    wanted = select_captions(((name, row["phrases"]) for name, row in unique.items()), cap=40)
    records = json.loads((place.folder / "chat.json").read_text())
    assert [record["id"] for record in records] == [
        row["id"] for row in read if row["id"] in wanted and row == unique[row["id"]]
    ]
    assert all(record["conversations"][1]["value"] == unique[record["id"]]["text"] for record in records)
    assert (facts["pairs_read"], facts["pairs_in"], facts["duplicates"]) == (
        NUM_CAPTIONS + 3,
        NUM_CAPTIONS + 1,
        1,
    )
    assert facts["pairs_out"] == len(records) < NUM_CAPTIONS
    assert sum(facts["refused_by_reason"].values()) == facts["refused"] == 2
    assert facts == json.loads((place.folder / "chat-report.json").read_text())
    assert f"{len(records):,}" in (place.folder / "chat-report.html").read_text()


def test_another_cap_and_form_read_no_caption_again(place: Place, facts: dict[str, Any]) -> None:
    work = place.folder / "chat.json.work"
    parts = {part: part.stat().st_mtime_ns for part in (work / "captions").iterdir()}
    other = place.comd("few.parquet", "--cap", "2", "--work", str(work))
    assert {part: part.stat().st_mtime_ns for part in parts} == parts
    assert other["pairs_out"] < facts["pairs_out"]
    chosen = place.rows("few.parquet")
    assert len(chosen) == other["pairs_out"]
    frequency = {row["phrase"]: row["frequency"] for row in place.rows("chat.json.work/phrases.parquet")}
    assert all(row["frequency"] == frequency[row["phrase"]] >= 3 for row in chosen)


def test_killed_it_goes_on_and_gives_the_same(place: Place, facts: dict[str, Any]) -> None:
    command = [sys.executable, "-m", "comd", *place.words("killed.json")]
    first = place.folder / "killed.json.work" / "captions" / "part-00000.parquet"
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        while not first.exists():
            assert running.poll() is None, running.stderr.read() if running.stderr else ""
            time.sleep(0.005)
        running.kill()
    assert not (place.folder / "killed.json").exists()
    written = first.stat().st_mtime_ns
    assert place.comd("killed.json") == facts
    assert first.stat().st_mtime_ns == written
    assert (place.folder / "killed.json").read_bytes() == (place.folder / "chat.json").read_bytes()


@pytest.mark.parametrize(
    ("out", "more", "said"),
    [
        ("chat.txt", [], r"ends in \.json or \.parquet"),
        ("raw.json", [], "none of the inputs"),
        ("x.json", ["--images", "/nowhere"], "no such folder"),
        (
            "x.json",
            ["--pipeline", "no_such_pipeline"],
            "spacy download no_such_pipeline",
        ),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_read(
    place: Place, facts: dict[str, Any], out: str, more: list[str], said: str
) -> None:
    result = CliRunner().invoke(app, place.words(out, *more))
    assert result.exception is not None
    assert result.exit_code == 1

    assert re.search(said, str(result.exception))
    assert not (place.folder / "x.json").exists()
