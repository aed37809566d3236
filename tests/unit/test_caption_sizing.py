"""About how many captions files hold, against what was written into them."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.trainer.captions.sizing import about_how_many

RECORDS = [
    {
        "id": str(n),
        "image": f"{n}.jpg",
        "conversations": [{"from": "human", "value": "?"}, {"from": "gpt", "value": "x"}],
    }
    for n in range(500)
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.json", json.dumps(RECORDS, indent=2)),
        ("list.json", json.dumps(RECORDS)),
        ("lines.jsonl", "".join(json.dumps(record) + "\n" for record in RECORDS)),
        ("lines.json", "".join(json.dumps(record) + "\n" for record in RECORDS)),
        ("pairs.tsv", "".join(f"a caption\thttp://x/{n}.jpg\n" for n in range(500))),
    ],
)
def test_text_files_are_counted_without_parsing(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    assert about_how_many([tmp_path / name], chunk_bytes=4096) == pytest.approx(500, rel=0.03)


def test_parquet_says_how_many_it_has(tmp_path: Path) -> None:
    pq.write_table(pa.table({"caption": ["x"] * 77}), tmp_path / "a.parquet")
    assert about_how_many([tmp_path / "a.parquet"] * 2) == 154
