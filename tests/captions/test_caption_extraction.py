"""The work folder of phrases: its parts, what is refused, and that a killed extraction goes on."""

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from services.trainer.captions import extraction
from services.trainer.captions.crew import Crew
from services.trainer.captions.phrases import load, noun_phrases
from shared.errors import ComdError, ConfigError, Unprocessable
from tests.caption_grammar import pipeline_folder, sentences

PART_ROWS = 100
KILLED = """
import sys
from pathlib import Path
from services.trainer.captions import extraction
extraction.PART_ROWS = int(sys.argv[4])
extraction.extract([Path(sys.argv[1])], Path(sys.argv[2]), pipeline=sys.argv[3], processes=2, images=None,
    progress=lambda done: print(done, flush=True))
"""
Row = dict[str, Any]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "PART_ROWS", PART_ROWS)


def captions_file(folder: Path, number: int, *broken: str) -> Path:
    """That many captions, and behind them some lines as they are."""
    texts = [sentence.text for sentence in islice(sentences(3), number)]
    rows = [json.dumps({"id": f"c{at}", "image": f"{at}.jpg", "text": text}) for at, text in enumerate(texts)]
    file = folder / "captions.jsonl"
    file.write_text("".join(f"{row}\n" for row in (*rows, *broken)))
    return file


def extract(file: Path, work: Path, *, processes: int = 1, images: Path | None = None) -> list[int]:
    done: list[int] = []
    extraction.extract(
        [file],
        work,
        pipeline=str(pipeline_folder()),
        processes=processes,
        images=images,
        progress=done.append,
    )
    return done


def content(work: Path) -> dict[str, bytes]:
    return {str(file.relative_to(work)): file.read_bytes() for file in work.rglob("*.parquet")}


def rows_of(folder: Path) -> list[Row]:
    return [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def test_parts_hold_captions_with_phrases_and_what_is_refused(tmp_path: Path) -> None:
    file = captions_file(tmp_path, 150, "[]", '{"id": "z", "image": "0.jpg", "text": "\\u0000"}')
    images = tmp_path / "images"
    images.mkdir()
    for at in range(140):
        (images / f"{at}.jpg").touch()
    assert extract(file, tmp_path / "work", images=images) == [100, 152]
    captions = rows_of(tmp_path / "work/captions")
    texts = [sentence.text for sentence in islice(sentences(3), 140)]
    assert [(row["id"], row["image"], row["row"], row["text"]) for row in captions] == [
        (f"c{at}", f"{at}.jpg", at, text) for at, text in enumerate(texts)
    ]
    assert [row["phrases"] for row in captions] == noun_phrases(load(str(pipeline_folder())), texts)
    missing = [(str(file), at + 1, f"c{at}", "image is missing") for at in range(140, 150)]
    assert [tuple(row.values()) for row in rows_of(tmp_path / "work/refused")] == [
        *missing,
        (str(file), 151, None, "record is not an object"),
        (str(file), 152, "z", "caption has control characters"),
    ]


def test_killed_in_the_middle_it_goes_on_and_gives_what_one_process_gives_at_once(tmp_path: Path) -> None:
    file, work = captions_file(tmp_path, 1550), tmp_path / "work"
    command = [sys.executable, "-c", KILLED, str(file), str(work), str(pipeline_folder()), str(PART_ROWS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout
        assert int(killed.stdout.readline()) % PART_ROWS == 0
        crew = psutil.Process(killed.pid).children(recursive=True)
        killed.kill()
        killed.stdout.read()  # until the last that holds it is gone
    assert len(crew) >= 2
    assert psutil.wait_procs(crew, timeout=20)[1] == []
    before = {part: part.stat().st_mtime_ns for part in (work / "captions").glob("*.parquet")}
    assert 1 <= len(before) < 16
    (work / "captions/.part-00015.parquet.1.part").write_bytes(b"torn")
    assert extract(file, work, processes=2)[-1] == 1550
    assert {part: part.stat().st_mtime_ns for part in before} == before
    assert not list(work.rglob("*.part"))
    extract(file, tmp_path / "at once")
    assert len(content(work)) == 32
    assert content(work) == content(tmp_path / "at once")


def test_the_folder_of_another_input_or_pipeline_is_refused(tmp_path: Path) -> None:
    file, work = captions_file(tmp_path, 3), tmp_path / "work"
    extract(file, work)
    before = content(work)
    with pytest.raises(ConfigError, match=r"work holds .* another input: images changed"):
        extract(file, work, images=tmp_path)
    captions_file(tmp_path, 4)
    with pytest.raises(ConfigError, match=r"files changed since .* delete this one to begin anew"):
        extract(file, work)
    assert content(work) == before


def test_a_file_that_breaks_off_is_told_when_the_parts_before_are_whole(tmp_path: Path) -> None:
    file = tmp_path / "captions.json"
    file.write_text(json.dumps([{"image": f"{at}", "text": "a cat"} for at in range(120)])[:-9])
    with pytest.raises(Unprocessable, match="item 120: the array does not end"):
        extract(file, tmp_path / "work")
    assert len(rows_of(tmp_path / "work/captions")) == 100


def die() -> int:
    psutil.Process().kill()
    return 1


def test_a_process_that_is_killed_is_told() -> None:
    with Crew(1, print) as crew:
        crew.give(die)
        with pytest.raises(ComdError, match=r"was killed.* what is done is kept"):
            crew.finish()
