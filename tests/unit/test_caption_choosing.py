"""The selection out of core against plain Python: the files it writes, what it keeps, and what it refuses."""

from pathlib import Path
from random import Random

import duckdb
import pytest

from services.trainer.captions import select_captions
from services.trainer.captions.choosing import Chosen, choose, draw
from shared.errors import ConfigError
from tests.caption_sets import caption, chosen_slowly, planted, read, write_parts

FREQUENCIES = {
    "a dog": 90,
    "it's": 40,
    "公园": 13,
    "12 o'clock|noon": 12,
    "der See": 11,
    "Zebra": 3,
    "once": 1,
    "": 2,
}
MIB = 512


def chosen(work: Path, cap: int = 12, seed: int = 0, min_frequency: int = 3) -> Chosen:
    return choose(work, min_frequency=min_frequency, cap=cap, seed=seed, memory_mib=MIB)


@pytest.mark.parametrize(("cap", "seed", "least"), [(12, 0, 3), (1, 7, 1), (1000, 0, 12), (5, 2**65, 2)])
def test_files_hold_what_plain_python_finds(tmp_path: Path, cap: int, seed: int, least: int) -> None:
    rows = planted(FREQUENCIES, seed=cap, repeated=30)
    write_parts(tmp_path, rows, 3)
    counts = chosen(tmp_path, cap, seed, least)
    expected = chosen_slowly(rows, least, cap, seed)
    assert read(tmp_path) == expected
    kept = sum(row["frequency"] >= least for row in expected.phrases)
    assert counts == Chosen(len(rows), 30, len(expected.selected), len(FREQUENCIES), kept)


def test_planted_frequencies_are_found(tmp_path: Path) -> None:
    write_parts(tmp_path, planted(FREQUENCIES, repeated=9), 2)
    chosen(tmp_path)
    assert {row["phrase"]: row["frequency"] for row in read(tmp_path).phrases} == FREQUENCIES


def test_shuffled_and_in_other_parts_it_is_the_same(tmp_path: Path) -> None:
    rows = planted(FREQUENCIES, repeated=20)
    write_parts(tmp_path / "one", rows, 1)
    Random(3).shuffle(rows)
    write_parts(tmp_path / "seven", rows, 7)
    assert chosen(tmp_path / "one") == chosen(tmp_path / "seven")
    assert read(tmp_path / "one") == read(tmp_path / "seven")


def test_the_lowest_row_of_an_id_counts(tmp_path: Path) -> None:
    first = [caption(str(at), ["dog"], at) for at in range(3)]
    again = [caption(str(at), ["cat"], row) for row, at in enumerate((0, 1, 2, 0), start=3)]
    write_parts(tmp_path, (first + again)[::-1], 2)
    assert chosen(tmp_path) == Chosen(pairs_in=7, duplicates=4, pairs_out=3, phrases=1, phrases_kept=1)
    assert [row["row"] for row in read(tmp_path).duplicates] == [3, 4, 5, 6]


def test_captions_without_phrases_are_not_chosen(tmp_path: Path) -> None:
    write_parts(tmp_path, [caption(str(at), [], at) for at in range(5)], 1)
    assert chosen(tmp_path) == Chosen(pairs_in=5, duplicates=0, pairs_out=0, phrases=0, phrases_kept=0)
    assert read(tmp_path) == ([], [], [])


def test_another_cap_counts_nothing_again(tmp_path: Path) -> None:
    rows = planted(FREQUENCIES)
    write_parts(tmp_path, rows, 2)
    chosen(tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("counted-*")}
    chosen(tmp_path, cap=4, seed=5)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("counted-*")} == kept
    assert read(tmp_path) == chosen_slowly(rows, 3, 4, 5)


def test_other_parts_are_counted_anew(tmp_path: Path) -> None:
    rows = planted(FREQUENCIES)
    write_parts(tmp_path, rows[:60], 1)
    chosen(tmp_path)
    (before,) = tmp_path.glob("counted-*")
    (tmp_path / "captions" / "part-00000.parquet").unlink()
    (tmp_path / "captions").rmdir()
    write_parts(tmp_path, rows, 1)
    chosen(tmp_path)
    (after,) = tmp_path.glob("counted-*")
    assert after != before
    assert read(tmp_path) == chosen_slowly(rows, 3, 12, 0)


def test_what_a_killed_process_left_is_swept_away(tmp_path: Path) -> None:
    rows = planted(FREQUENCIES)
    write_parts(tmp_path, rows, 2)
    (tmp_path / "spill").mkdir()
    for left in (
        ".counted.part",
        ".counted.part.wal",
        ".selected.parquet.part",
        "spill/duckdb_temp_block-1.block",
    ):
        (tmp_path / left).write_bytes(b"half")
    chosen(tmp_path)
    assert read(tmp_path) == chosen_slowly(rows, 3, 12, 0)
    names = sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("counted-"))
    assert names == ["captions", "duplicates.parquet", "phrases.parquet", "selected.parquet"]


def test_a_folder_of_any_name(tmp_path: Path) -> None:
    work = tmp_path / "it's [1]* {a}"
    rows = planted(FREQUENCIES)
    write_parts(work, rows, 2)
    chosen(work)
    assert read(work) == chosen_slowly(rows, 3, 12, 0)


def test_a_draw_with_too_little_room_is_repeated() -> None:
    captions = [
        (f"c{at}", [phrase])
        for phrase in ("street", "road")
        for at in range(200 if phrase == "street" else 30)
    ]
    with duckdb.connect() as database:
        database.execute("ATTACH ':memory:' AS counted; CREATE TABLE picked (row INT, place INT)")
        database.execute("CREATE TABLE counted.phrases (phrase TEXT, place INT, frequency INT)")
        database.execute("INSERT INTO counted.phrases VALUES ('road', 1, 30), ('street', 2, 200)")
        database.execute("CREATE TABLE mentions (phrase TEXT, id TEXT, row INT)")
        rows = [(phrases[0], id, row) for row, (id, phrases) in enumerate(captions)]
        database.executemany("INSERT INTO mentions VALUES (?, ?, ?)", rows)
        draw(database, min_frequency=3, cap=20, seed=0, room=5)
        picked = database.execute("SELECT row, place FROM picked").fetchall()
    for place, phrase in ((1, "road"), (2, "street")):
        ids = select_captions([caption for caption in captions if caption[1] == [phrase]], cap=20)
        assert {captions[row][0] for row, at in picked if at == place} == ids
    assert len(picked) == 40


def test_a_cap_of_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a cap of at least 1"):
        chosen(tmp_path, cap=0)


def test_no_parts_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found none: extract phrases first"):
        chosen(tmp_path)


def test_too_little_memory_says_how_much(tmp_path: Path) -> None:
    write_parts(tmp_path, planted(FREQUENCIES), 1)
    with pytest.raises(ConfigError, match="at least 512 MiB for choosing captions, got 100"):
        choose(tmp_path, min_frequency=3, cap=1, seed=0, memory_mib=100)
